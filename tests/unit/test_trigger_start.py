"""That a change starts a run, and that of many who find one due one starts it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgepress.contracts.kubeflow import DataVolume
from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.errors import EXIT_DONE, EXIT_FAILED, ConfigError, IntegrityError, StorageError
from edgepress.storage import ObjectStore
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.trigger import start as trigger
from edgepress_pipelines.trigger.decision import MAX_FAILURES, KnownRun, RunState, Unchanged
from edgepress_pipelines.trigger.start import CreateRun, TriggerOutcome, check_trigger_config, read_last_verdict, start_if_due
from tests.unit.memory_store import MemoryStore
from tests.unit.virtual_time import VirtualTime

CONFIG = """
name: digits
dataset: {source: digits}
baseline: {model: mlp}
recipes: [{recipe: int8}]
gate: {accuracy: {max_drop: 0.02}}
release: {uri: s3://edgepress/releases}
"""


CODE = f"sha256:{'1' * 64}"


class Cluster:
    """Runs as a cluster would list them; each is named by its number."""

    def __init__(self) -> None:
        self.runs: list[tuple[Fingerprint, KnownRun]] = []

    def runs_of(self, now: Fingerprint) -> Sequence[KnownRun]:
        return [run for given, run in reversed(self.runs) if (given.code, given.configuration) == (now.code, now.configuration)]

    def prepare_run(self, given: Fingerprint) -> CreateRun:
        def create(before_request: Callable[[], None]) -> str:
            before_request()
            return self.start_run(given)

        return create

    def start_run(self, given: Fingerprint) -> str:
        run_id = f"run-{len(self.runs) + 1}"
        self.runs.append((given, KnownRun(run_id, "active", given.dataset)))
        return run_id

    def end(self, state: RunState) -> KnownRun:
        started, run = self.runs.pop()
        self.runs.append((started, dataclasses.replace(run, state=state)))
        return run


class Project:
    """A configuration, a store, and its cluster."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster()
        self.store: ObjectStore = MemoryStore()
        self._config = folder / "config.yaml"
        self._config.write_text(CONFIG)

    def trigger(self, *overrides: str, force: bool = False) -> TriggerOutcome:
        config = load_config(self._config, ["resources.kubeflow.storage_uri=s3://bucket/prefix", *overrides])
        return start_if_due(config, CODE, runs_of=self.cluster.runs_of, prepare_run=self.cluster.prepare_run, force=force)

    def judge(self, outcome: str, fingerprint: Fingerprint | None, state: RunState = "succeeded") -> None:
        run = self.cluster.end(state)
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
    assert unchanged.message == "nothing has changed since the verdict of run run-1 (rejected)"
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


def test_a_run_that_has_fallen_silent_gives_way_to_force_alone(project: Project) -> None:
    project.trigger()
    project.cluster.end("silent")
    waiting = project.trigger()
    assert (waiting.exit_code, waiting.started_run_id) == (EXIT_DONE, None)
    assert waiting.message.endswith("it has long given no sign of life: if its Workflow is gone, start anew with --force")
    assert project.trigger(force=True).started_run_id == "run-2"
    assert project.trigger(force=True).started_run_id is None, "the one that was started now is in progress"


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

    outcome = start_if_due(config, CODE, runs_of=runs_of, prepare_run=project.cluster.prepare_run)
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
    assert project.store.list_keys("prefix/claims/") == ["prefix/claims/digits/000000000002.json"]


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


def test_a_record_of_another_version_is_an_error_and_no_change(project: Project) -> None:
    project.store.put_bytes(f"prefix/{last_verdict_key('digits')}", b'{"schema_version": 1}')
    with pytest.raises(IntegrityError, match="delete it"):
        read_last_verdict(project.store, "prefix", "digits")


def test_a_start_that_takes_long_is_not_a_second_one(project: Project) -> None:
    """The first request is lost, and answering that it was takes so long that another trigger takes over in between."""
    config = load_config(project._config, ["resources.kubeflow.storage_uri=s3://bucket/prefix"])
    time, other = VirtualTime(), list[TriggerOutcome]()

    def prepare(given: Fingerprint) -> CreateRun:
        time.seconds += 10_000  # compiling and uploading count for nothing: no claim is held

        def create(before_request: Callable[[], None]) -> str:
            before_request()
            time.seconds += 1000
            other.append(
                start_if_due(
                    config, CODE, runs_of=project.cluster.runs_of, prepare_run=project.cluster.prepare_run, clock=VirtualTime().clock()
                )
            )
            before_request()
            return project.cluster.start_run(given)

        return create

    with pytest.raises(StorageError, match="taken over"):
        start_if_due(config, CODE, runs_of=project.cluster.runs_of, prepare_run=prepare, clock=time.clock())
    assert other[0].started_run_id == "run-1"
    assert len(project.cluster.runs) == 1
