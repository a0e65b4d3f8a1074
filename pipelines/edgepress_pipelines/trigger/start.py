"""``edgepress trigger``: start a run if the dataset, the code or the configuration has changed since the last verdict, and only then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.digest import Digest
from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.errors import EXIT_DONE, EXIT_FAILED, ConfigError, IntegrityError
from edgepress.storage import ObjectStore, join_key, open_store
from edgepress.storage.lease import SYSTEM_CLOCK, Clock
from edgepress_pipelines.kubeflow.run_parameters import check_cluster_config
from edgepress_pipelines.trigger.decision import AlreadyRunning, Decision, GivenUp, KnownRun, Start, decide
from edgepress_pipelines.trigger.fingerprint import digest_dataset, is_on_data_volume, take_fingerprint
from edgepress_pipelines.trigger.start_claim import LEASE_S, claim_start

CreateRun = Callable[[Callable[[], None]], str]
"""Starts a prepared run and gives its id. Calls its argument before each request; what that raises keeps the request from being sent."""

PrepareRun = Callable[[Fingerprint], CreateRun]
"""Does everything that a run of this fingerprint needs before the request that starts it, however long that takes."""


class RunsOf(Protocol):
    """Lists the runs that the cluster knows of a fingerprint's code and configuration."""

    def __call__(self, now: Fingerprint, /) -> Sequence[KnownRun]:
        """Newest first. Raises ``EdgePressError`` when the cluster cannot be asked."""


@dataclass(frozen=True)
class TriggerOutcome:
    """What a check came to.

    Attributes:
        decision: what was found.
        fingerprint: what a run is computed from now.
        started_run_id: of the run that was started; None when none was.
        url: its page in KFP's user interface.
    """

    decision: Decision
    fingerprint: Fingerprint
    started_run_id: str | None
    url: str | None = None

    @property
    def message(self) -> str:
        """One line for the user."""
        if isinstance(self.decision, Start):
            return f"started run {self.started_run_id}: {self.decision.reason}"
        if isinstance(self.decision, AlreadyRunning):
            run = f"run {self.decision.run_id}"
            silent = (
                "; it has long given no sign of life: if its Workflow is gone, start anew with --force" if self.decision.is_silent else ""
            )
            if self.decision.surely:
                return f"nothing to do: {run} is in progress on the same data, code and configuration{silent}"
            return f"nothing to do: {run} of the same code and configuration is in progress, maybe on the same data{silent}"
        if isinstance(self.decision, GivenUp):
            return f"no run was started: {self.decision.reason}"
        return self.decision.reason

    @property
    def exit_code(self) -> int:
        """0 when a run was started or none is due; 1 when one would be due but runs with this change keep failing."""
        return EXIT_FAILED if isinstance(self.decision, GivenUp) else EXIT_DONE


def start_if_due(
    config: PipelineConfig,
    code: Digest,
    *,
    runs_of: RunsOf,
    prepare_run: PrepareRun,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    lease_s: float = LEASE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> TriggerOutcome:
    """Compare with the last verdict and start a run if one is due. Of any number of calls at the same moment one starts it.

    Args:
        config: what a run would be computed from.
        code: digest of the pipeline that is compiled for it.
        runs_of, prepare_run: the cluster.
        force: start although nothing has changed, or although runs with this change failed; beside a run of the same fingerprint only
            when that has long given no sign of life.
        tell: is given one line when another trigger has to be waited for.

    Raises:
        InputError: something given is wrong; nothing was started.
        StorageError, IntegrityError: the storage cannot be reached, refuses, or its last verdict cannot be read, or another trigger has
            taken over; nothing was started, unless by a request before whose answer was lost.
        EdgePressError: whatever the cluster raises.
    """
    store, prefix = open_store(check_trigger_config(config))
    fingerprint = take_fingerprint(config, code, dataset=digest_dataset(config))

    def look() -> Decision:
        # The runs first: one that ends between the two looks has written its verdict by then, the other way round it would be in neither.
        runs = runs_of(fingerprint)
        return decide(fingerprint, read_last_verdict(store, prefix, config.name), runs, force=force)

    decision = look()
    if not isinstance(decision, Start):
        return TriggerOutcome(decision, fingerprint, started_run_id=None)
    create_run = prepare_run(fingerprint)
    with claim_start(store, prefix, config.name, tell=tell, lease_s=lease_s, clock=clock) as claim:
        decision = look()  # whoever held the claim before may have started it
        if not isinstance(decision, Start):
            return TriggerOutcome(decision, fingerprint, started_run_id=None)
        return TriggerOutcome(decision, fingerprint, started_run_id=create_run(claim.renew))


def check_trigger_config(config: PipelineConfig) -> str:
    """Refuse what no cluster can run, and a source that cannot be looked at from here; give the storage.

    Raises:
        ConfigError: see ``check_cluster_config``; or the source is on a volume that is not here.
    """
    storage = check_cluster_config(config)
    volume = config.resources.kubeflow.data_volume
    if volume is not None and is_on_data_volume(config) and not Path(config.dataset.source).exists():
        raise ConfigError(
            f"dataset.source: {config.dataset.source} is not here, so trigger cannot see whether it changed; mount the volume of "
            f"{volume.claim_name} at {volume.mount_path} where trigger runs, give s3://bucket/..., or start runs with `edgepress schedule`"
        )
    return storage


def read_last_verdict(store: ObjectStore, prefix: str, name: str) -> LastVerdict | None:
    """The newest verdict of a pipeline; None when no run has reached one.

    Raises:
        StorageError: the store cannot be reached or refuses.
        IntegrityError: the object is not a record of this schema version.
    """
    key = join_key(prefix, last_verdict_key(name))
    if not store.exists(key):
        return None
    try:
        return LastVerdict.model_validate_json(store.get_bytes(key))
    except ValidationError as error:
        raise IntegrityError(
            f"{store.address}: '{key}' is not a last verdict of this release; delete it, and the next trigger starts a run"
        ) from error
