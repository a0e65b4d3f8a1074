"""Whether a run is due, and that of many who find it due one starts it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress import images
from edgepress.contracts.kubeflow import DataVolume
from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.contracts.verdict import Outcome
from edgepress.errors import EXIT_DONE, EXIT_FAILED, ConfigError, IntegrityError, StorageError
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.filesystem import FilesystemStore
from edgepress_pipelines.config_file import load_config
from edgepress_pipelines.kubeflow import trigger
from edgepress_pipelines.kubeflow.image_lock import ImageLock
from edgepress_pipelines.kubeflow.start_claim import POLL_INTERVAL_S, Clock, StartClaim, claim_start
from edgepress_pipelines.kubeflow.trigger import TriggerOutcome, check_trigger_config, read_last_verdict, start_if_due
from edgepress_pipelines.kubeflow.trigger_decision import (
    MAX_FAILURES,
    AlreadyRunning,
    GivenUp,
    KnownRun,
    RunState,
    Start,
    Unchanged,
    decide,
)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def fingerprint(dataset: int = 0, code: int = 0, config: int = 0) -> Fingerprint:
    return Fingerprint(code=digest(code), configuration=digest(config), dataset=digest(dataset))


def verdict(of: Fingerprint | None, outcome: Outcome = "rejected", run_id: str = "before") -> LastVerdict:
    return LastVerdict(run_id=run_id, started_unix_s=1.0, fingerprint=of, outcome=outcome)


fingerprints = st.builds(fingerprint, st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
states: st.SearchStrategy[RunState] = st.sampled_from(["active", "succeeded", "failed", "stopped"])
verdicts = st.none() | st.builds(verdict, st.none() | fingerprints, st.sampled_from(["passed", "rejected", "inconclusive"]))
datasets = st.none() | st.integers(0, 1).map(digest)


@given(fingerprints, verdicts, st.lists(st.tuples(states, datasets), max_size=6), st.booleans())
def test_every_decision_has_its_ground(
    now: Fingerprint, last: LastVerdict | None, found: list[tuple[RunState, str | None]], force: bool
) -> None:
    runs = [KnownRun(f"run-{number}", state, dataset) for number, (state, dataset) in enumerate(found)]
    decision = decide(now, last, runs, force=force)
    in_the_way = [run for run in runs if run.state == "active" and run.dataset in (None, now.dataset)]
    ended = [state for state, dataset in found if dataset == now.dataset]
    hopeless = ended[:1] == ["stopped"] or (len(ended) >= MAX_FAILURES and set(ended[:MAX_FAILURES]) == {"failed"})
    if in_the_way:
        assert decision == AlreadyRunning(in_the_way[0].run_id, surely=in_the_way[0].dataset is not None)
    elif force:
        assert isinstance(decision, Start)
    elif last is not None and last.fingerprint == now:
        assert isinstance(decision, Unchanged)
    elif hopeless:
        assert isinstance(decision, GivenUp)
    else:
        assert isinstance(decision, Start)
    if not isinstance(decision, AlreadyRunning):
        assert decision.reason
        assert "\n" not in decision.reason


def test_what_a_run_saw_counts_once_its_verdict_says_it() -> None:
    """A schedule's run says nothing about the dataset before; another one's source may have changed before its ingest looked."""
    now = fingerprint(dataset=1)
    for known in (None, digest(1)):
        run = KnownRun("scheduled", "active", known)
        assert decide(now, verdict(fingerprint(), run_id="scheduled"), [run]) == Start(
            "the dataset changed since the verdict of run scheduled (rejected)"
        )
        releasing = decide(now, verdict(fingerprint(dataset=1), "passed", run_id="scheduled"), [run])
        assert releasing == AlreadyRunning("scheduled", surely=True)


def test_failures_on_data_that_nobody_knows_are_not_held_against_this_one() -> None:
    unknown = [KnownRun(f"run-{number}", "failed", None) for number in range(MAX_FAILURES)]
    assert decide(fingerprint(), None, unknown) == Start("there is no verdict yet")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (fingerprint(dataset=1), "the dataset changed since the verdict of run before (rejected)"),
        (fingerprint(code=1, config=1), "the code and the configuration changed since the verdict of run before (rejected)"),
        (fingerprint(1, 1, 1), "the dataset, the code and the configuration changed since the verdict of run before (rejected)"),
    ],
)
def test_what_changed_is_said(now: Fingerprint, expected: str) -> None:
    assert decide(now, verdict(fingerprint()), []) == Start(expected)


CONFIG = """
name: digits
dataset: {source: digits}
baseline: {model: mlp}
recipes: [{recipe: int8}]
gate: {accuracy: {max_drop: 0.02}}
"""


LOCK = ImageLock(
    Path("lock.yaml"), {name: f"registry/{name}@sha256:{'1' * 64}" for name in (images.TRAINER, images.EVALUATOR, images.RELEASER)}
)


class Cluster:
    """Runs as a cluster would list them; each is named by its number."""

    def __init__(self) -> None:
        self.runs: list[tuple[Fingerprint, KnownRun]] = []

    def runs_of(self, now: Fingerprint) -> Sequence[KnownRun]:
        return [run for given, run in reversed(self.runs) if (given.code, given.configuration) == (now.code, now.configuration)]

    def start_run(self, given: Fingerprint) -> str:
        run_id = f"run-{len(self.runs) + 1}"
        self.runs.append((given, KnownRun(run_id, "active", given.dataset)))
        return run_id

    def end(self, state: RunState) -> KnownRun:
        started, run = self.runs.pop()
        self.runs.append((started, dataclasses.replace(run, state=state)))
        return run


class Project:
    """A configuration whose storage is a folder, and its cluster."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster()
        self.store: ObjectStore = FilesystemStore(folder / "storage")
        self._config = folder / "config.yaml"
        self._config.write_text(CONFIG)

    def trigger(self, *overrides: str, force: bool = False) -> TriggerOutcome:
        config = load_config(self._config, ["resources.kubeflow.storage_uri=s3://bucket/prefix", *overrides])
        return start_if_due(config, LOCK, runs_of=self.cluster.runs_of, start_run=self.cluster.start_run, force=force)

    def judge(self, outcome: str, fingerprint: Fingerprint | None) -> None:
        run = self.cluster.end("succeeded")
        record = LastVerdict.model_validate({"run_id": run.run_id, "started_unix_s": 1.0, "fingerprint": fingerprint, "outcome": outcome})
        self.store.put_bytes(f"prefix/{last_verdict_key('digits')}", record.model_dump_json().encode())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setattr(trigger, "open_store", lambda uri: (project.store, "prefix"))
    return project


def test_a_run_is_started_once_for_each_change(project: Project) -> None:
    first = project.trigger()
    assert (first.message, first.exit_code) == ("started run run-1: there is no verdict yet", EXIT_DONE)
    again = project.trigger()
    assert again.message == "nothing to do: run run-1 is in progress on the same data, code and configuration"
    project.judge("rejected", first.fingerprint)
    unchanged = project.trigger()
    assert unchanged.message == "nothing to do: nothing has changed since the verdict of run run-1 (rejected)"
    assert (unchanged.exit_code, unchanged.started_run_id) == (EXIT_DONE, None)
    changed = project.trigger("gate.accuracy.max_drop=0.05")
    assert changed.message == "started run run-2: the configuration changed since the verdict of run run-1 (rejected)"
    project.judge("passed", changed.fingerprint)
    assert project.trigger("gate.accuracy.max_drop=0.05", force=True).message == "started run run-3: it was forced"


def test_a_run_on_other_data_does_not_stand_in_the_way(project: Project) -> None:
    project.trigger()
    assert project.trigger("dataset.seed=1").started_run_id == "run-2"


def test_a_verdict_without_a_fingerprint_is_no_ground_to_wait(project: Project) -> None:
    project.trigger()
    project.judge("passed", None)
    assert "does not say what it was computed from" in project.trigger().message


def test_runs_that_keep_failing_are_not_started_for_ever(project: Project) -> None:
    for _ in range(MAX_FAILURES):
        assert project.trigger().exit_code == EXIT_DONE
        project.cluster.end("failed")
    given_up = project.trigger()
    assert given_up.exit_code == EXIT_FAILED
    assert given_up.message.startswith(f"no run was started: the last {MAX_FAILURES} runs")
    assert project.trigger(force=True).started_run_id == f"run-{MAX_FAILURES + 1}"


def test_a_run_that_somebody_stopped_is_not_started_again(project: Project) -> None:
    project.trigger()
    project.cluster.end("stopped")
    assert "run-1 on the same data, code and configuration was stopped" in project.trigger().message
    assert project.trigger("dataset.seed=1").started_run_id == "run-2"


def test_a_run_that_ends_while_the_claim_is_awaited_is_not_repeated(project: Project) -> None:
    """The run that another trigger started reaches its verdict between this trigger's two looks."""
    config = load_config(project._config, ["resources.kubeflow.storage_uri=s3://bucket/prefix"])
    looks = 0

    def runs_of(wanted: Fingerprint) -> Sequence[KnownRun]:
        nonlocal looks
        looks += 1
        if looks == 2:
            project.cluster.start_run(wanted)
            project.judge("passed", wanted)
            return []
        return project.cluster.runs_of(wanted)

    outcome = start_if_due(config, LOCK, runs_of=runs_of, start_run=project.cluster.start_run)
    assert isinstance(outcome.decision, Unchanged)


def test_a_start_that_fails_leaves_the_claim_to_the_next(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(given: Fingerprint) -> str:
        raise StorageError("refused")

    monkeypatch.setattr(project.cluster, "start_run", refuse)
    with pytest.raises(StorageError, match="refused"):
        project.trigger()
    monkeypatch.undo()
    monkeypatch.setattr(trigger, "open_store", lambda uri: (project.store, "prefix"))
    assert project.trigger().started_run_id == "run-1"


def test_a_scheduled_run_in_progress_is_waited_for(project: Project) -> None:
    first = project.trigger().fingerprint
    project.judge("rejected", first)
    project.cluster.start_run(Fingerprint(code=first.code, configuration=first.configuration))
    waiting = project.trigger(force=True)
    assert waiting.message == "nothing to do: run run-2 of the same code and configuration is in progress, maybe on the same data"
    assert waiting.exit_code == EXIT_DONE
    assert project.trigger("gate.accuracy.max_drop=0.05").started_run_id == "run-3"


def test_a_source_that_cannot_be_seen_is_refused_before_anybody_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger, "open_store", lambda uri: pytest.fail("the store was opened"))
    volume = "resources.kubeflow.data_volume={claim_name: pets, mount_path: /mnt/nowhere-here}"
    with pytest.raises(ConfigError) as refused:
        project.trigger(volume, "dataset.source=/mnt/nowhere-here/pets")
    assert str(refused.value) == (
        "dataset.source: /mnt/nowhere-here/pets is not here, so trigger cannot see whether it changed; mount the volume of pets at "
        "/mnt/nowhere-here where trigger runs, give s3://bucket/..., or start runs with `edgepress schedule`"
    )


def test_a_source_on_a_volume_that_is_here_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "pets.npz").write_bytes(b"one")
    (tmp_path / "config.yaml").write_text(CONFIG)
    overrides = [f"dataset.source={tmp_path / 'pets.npz'}", "resources.kubeflow.storage_uri=s3://bucket/prefix"]
    config = load_config(tmp_path / "config.yaml", overrides)
    # Of the test's own folder a configuration could not be read: no pod may have a volume at /tmp.
    volume = DataVolume.model_construct(claim_name="pets", mount_path=str(tmp_path))
    kubeflow = config.resources.kubeflow.model_copy(update={"data_volume": volume})
    config = config.model_copy(update={"resources": config.resources.model_copy(update={"kubeflow": kubeflow})})
    assert check_trigger_config(config) == "s3://bucket/prefix"
    (tmp_path / "pets.npz").unlink()
    with pytest.raises(ConfigError, match=r"pets\.npz is not here"):
        check_trigger_config(config)


def test_storage_has_to_be_named(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"^resources\.kubeflow\.storage_uri: is missing"):
        project.trigger("resources.kubeflow.storage_uri=null")


def test_a_record_of_another_version_is_an_error_and_no_change(project: Project) -> None:
    project.store.put_bytes(f"prefix/{last_verdict_key('digits')}", b'{"schema_version": 1}')
    with pytest.raises(IntegrityError, match="delete it"):
        read_last_verdict(project.store, "prefix", "digits")


class VirtualTime:
    """A clock that moves when somebody sleeps; ``then`` happens during each sleep."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.seconds = 0.0
        self._then = then

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.seconds, sleep_s=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._then()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "claims"))[0]


def test_claims_follow_each_other_at_once_and_leave_one_object(store: ObjectStore) -> None:
    time = VirtualTime()
    for _ in range(3):
        with claim_start(store, "p", "digits", clock=time.clock()) as claim:
            claim.check_fresh()
    assert time.seconds == 0.0
    assert store.list_keys() == ["p/claims/digits/000000000003.json"]


def test_a_dead_holder_is_waited_for_as_long_as_its_lease_and_no_longer(store: ObjectStore) -> None:
    store.put_bytes("p/claims/digits/000000000007.json", StartClaim(holder="dead:1:x", claimed_unix_s=4e9).model_dump_json().encode())
    time, told = VirtualTime(), list[str]()
    with claim_start(store, "p", "digits", tell=told.append, lease_s=120, clock=time.clock()):
        assert 120 <= time.seconds <= 120 + POLL_INTERVAL_S
        assert store.list_keys() == ["p/claims/digits/000000000008.json"]
    assert told == ["waiting for dead:1:x, which is starting a run of digits or has died doing so"]


def test_a_holder_that_releases_is_followed_within_a_poll(store: ObjectStore) -> None:
    key = "p/claims/digits/000000000001.json"
    held = StartClaim(holder="other:1:x", claimed_unix_s=0.0)
    store.put_bytes(key, held.model_dump_json().encode())

    def release_after_5_s() -> None:
        if time.seconds >= 5:
            store.put_bytes(key, held.model_copy(update={"released": True}).model_dump_json().encode())

    time = VirtualTime(then=release_after_5_s)
    with claim_start(store, "p", "digits", clock=time.clock()):
        assert time.seconds == 5


def test_a_claim_of_another_release_is_left_to_the_lease(store: ObjectStore) -> None:
    store.put_bytes("p/claims/digits/000000000001.json", b"{}")
    store.put_bytes("p/claims/digits/notes.txt", b"somebody's own")
    time = VirtualTime()
    with claim_start(store, "p", "digits", lease_s=30, clock=time.clock()):
        assert time.seconds >= 30


def test_half_of_the_lease_is_kept_for_the_start(store: ObjectStore) -> None:
    time = VirtualTime()
    with claim_start(store, "p", "digits", lease_s=100, clock=time.clock()) as claim:
        time.seconds += 50
        claim.check_fresh()
        time.seconds += 1
        with pytest.raises(StorageError, match="nothing was started"):
            claim.check_fresh()


class StaleStore(FilesystemStore):
    """Lists once what was there before others took their turns, as a process sees it that slept."""

    def __init__(self, root: Path, then: Callable[[], None]) -> None:
        super().__init__(root)
        self._then: Iterator[Callable[[], None]] = iter([then])

    def list_keys(self, prefix: str = "") -> list[str]:
        listed = super().list_keys(prefix)
        for then in self._then:
            then()
        return listed


def test_a_latecomer_whose_number_has_been_deleted_does_not_hold(tmp_path: Path) -> None:
    """It lists nothing and sleeps; claims 1 and 2 come and go; claim 3 holds. Then it writes number 1, which is free again."""
    folder = tmp_path / "claims"
    others = FilesystemStore(folder)
    key = "p/claims/digits/000000000003.json"
    held = StartClaim(holder="holder:1:x", claimed_unix_s=0.0)
    time = VirtualTime()

    def meanwhile() -> None:
        others.put_bytes(key, held.model_dump_json().encode())

    with claim_start(StaleStore(folder, meanwhile), "p", "digits", lease_s=60, clock=time.clock()):
        assert time.seconds >= 60
        assert others.list_keys() == ["p/claims/digits/000000000004.json"]
