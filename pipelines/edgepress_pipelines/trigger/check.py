"""One check of ``edgepress trigger`` on a real Kubeflow: everything it depends on is read anew, so that a receiver follows what changes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings
from edgepress_pipelines.kubeflow.image_lock import read_image_lock
from edgepress_pipelines.kubeflow.package import pack
from edgepress_pipelines.kubeflow.preflight import ClusterCheck, check_backend, check_before_start
from edgepress_pipelines.kubeflow.runs.submit import create_run, prepare_run
from edgepress_pipelines.trigger.decision import KnownRun
from edgepress_pipelines.trigger.known_runs import list_known_runs
from edgepress_pipelines.trigger.sign_of_life import longest_attempt
from edgepress_pipelines.trigger.start import CreateRun, TriggerOutcome, check_trigger_config, start_if_due


@dataclass(frozen=True)
class TriggerRequest:
    """What the user says.

    Attributes:
        config, overrides: the configuration, as ``load_config`` takes them.
        image_lock: kustomize Component with the images' digests.
        connection: to KFP.
        cluster_check: whether Secret and accelerators are looked at before a start, as ``submit`` has it.
    """

    config: Path
    overrides: tuple[str, ...]
    image_lock: Path
    connection: ConnectionSettings
    cluster_check: ClusterCheck = field(default_factory=ClusterCheck)

    def load(self) -> PipelineConfig:
        """The configuration as it is now.

        Raises:
            ConfigError: something is wrong with it.
        """
        return load_config(self.config, self.overrides)


def check(request: TriggerRequest, *, force: bool, tell: Callable[[str], None]) -> TriggerOutcome:
    """Compare with the last verdict, and start a run if one is due.

    Args:
        request: what the user says.
        force: as in ``start_if_due``.
        tell: is given one line for whatever the user should know besides: that another trigger is waited for, what could not be checked.

    Raises:
        InputError: something given is wrong; nothing was started.
        EdgePressError: the store or KFP cannot be reached, or refuses.
    """
    from edgepress_pipelines.kubeflow.compile import compile_pipeline  # imports KFP's compiler, which takes a second

    config = request.load()
    check_trigger_config(config)
    lock = read_image_lock(request.image_lock)
    connection = Connection(request.connection)
    check_backend(connection, config.resources.kubeflow.namespace)
    pipeline = compile_pipeline(config.resources.kubeflow, lock)

    def runs_of(now: Fingerprint) -> list[KnownRun]:
        return list_known_runs(connection, now, longest_attempt(config.resources.kubeflow))

    def prepare(fingerprint: Fingerprint) -> CreateRun:
        check_before_start(config, connection, request.cluster_check, tell)
        prepared = prepare_run(config, connection, pack(config, pipeline, fingerprint))
        return lambda before_request: create_run(prepared, Connection(request.connection, before_request)).run_id

    outcome = start_if_due(config, pipeline.digest, runs_of=runs_of, prepare_run=prepare, force=force, tell=tell)
    return replace(outcome, url=None if outcome.started_run_id is None else connection.run_url(outcome.started_run_id))
