"""Following a run: what is shown, what is fetched, how it ends, and that trouble on the way is survived."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import StorageError
from edgepress.task import TaskEvent
from edgepress_pipelines.display import PlannedTask
from edgepress_pipelines.kubeflow.errors import KubeflowError
from edgepress_pipelines.kubeflow.follow import Pace, follow_run
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.run_record import RunRecord, read_run
from edgepress_pipelines.kubeflow.submit import submit_run
from edgepress_pipelines.run_outcome import RunOutcome
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import RunOnCluster, connect, package_in, read_config

pytestmark = pytest.mark.timeout(120)

PACE = Pace(first_poll_s=0.01, longest_poll_s=0.02, lost_limit_s=60.0, store_retry_s=0.02)


@dataclass
class Listener:
    """Notes what it hears, and lets the run go on when it has heard enough.

    Attributes:
        steps: what happens next, each after a word that is waited for; the word is a note's part, or ``task.recipe state``.
    """

    steps: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def run_started(self, run_id: str, run_dir: Path, tasks: Sequence[PlannedTask]) -> None:
        self._hear(f"run {run_id}: {len(tasks)} tasks planned")

    def task_event(self, event: TaskEvent) -> None:
        self._hear(f"{event.task}.{event.recipe} {event.state}")

    def note(self, text: str) -> None:
        self._hear(text)

    def _hear(self, text: str) -> None:
        self.heard.append(text)
        if self.steps and self.steps[0][0] in text:
            self.steps.pop(0)[1]()


@dataclass
class Submitted:
    """A run that has been submitted, with its folder in a local store."""

    kfp: KfpServer
    run: RunRecord
    tasks: RunOnCluster
    workdir: Path

    def goes(self, state: str) -> Callable[[], None]:
        return lambda: self.kfp.state.set_state(self.run.run_id, state)

    def follow(self, *steps: tuple[str, Callable[[], None]], pace: Pace = PACE) -> tuple[RunOutcome, list[str]]:
        listener = Listener(steps=list(steps))
        outcome = follow_run(connect(self.kfp), self.run, self.workdir, listener, pace)
        assert listener.steps == [], f"never heard {listener.steps[0][0]!r}"
        return outcome, listener.heard

    def ends(self, kind: str) -> Callable[[], None]:
        def end() -> None:
            self.tasks.finish(kind)
            self.goes("SUCCEEDED")()

        return end


@pytest.fixture
def submitted(tmp_path: Path) -> Iterator[Submitted]:
    with running_kfp() as kfp:
        config = read_config(tmp_path)
        package = package_in(tmp_path, config)
        storage = str(tmp_path / "store")
        parameters: Any = package.parameters | {"context": f'{{"name": "digits", "storage": "{storage}"}}'}
        submitted = submit_run(config, connect(kfp), Package(pipeline=package.pipeline, parameters=parameters))
        run = read_run(connect(kfp), submitted.run_id)
        yield Submitted(kfp, run, RunOnCluster(storage, run.run_id), tmp_path / "work")


@pytest.mark.parametrize(("kind", "exit_code"), [("passed", 0), ("rejected", 10), ("none", 10)])
def test_a_run_to_its_verdict(submitted: Submitted, kind: str, exit_code: int) -> None:
    outcome, heard = submitted.follow(
        ("tasks planned", submitted.goes("RUNNING")),
        ("pending -> running", lambda: submitted.tasks.event("ingest", None, "started", 1.0)),
        ("ingest.None started", submitted.ends(kind)),
    )
    assert outcome.exit_code == exit_code
    assert outcome.message is None
    assert outcome.verdict is not None
    assert [text for text in heard if text.endswith(" succeeded") and "->" not in text] == [
        "ingest.None succeeded",
        "train.baseline succeeded",
        "convert.int8 succeeded",
        "report.None succeeded",
    ]
    assert "distill.int8 cached" in heard  # no event of its own, but what follows it has begun
    assert outcome.run_dir == submitted.workdir.resolve() / "runs" / submitted.run.run_id
    assert (submitted.workdir / "runs" / "latest").resolve() == outcome.run_dir
    fetched = {str(path.relative_to(outcome.run_dir)) for path in outcome.run_dir.rglob("*") if path.is_file()}
    assert fetched == {"verdict.json", "report.html", "leaderboard.csv", "models/int8.tflite", "logs/train.baseline.log"}


def test_a_run_that_ended_before_anybody_followed(submitted: Submitted) -> None:
    submitted.ends("passed")()
    ended = replace(submitted, run=read_run(connect(submitted.kfp), submitted.run.run_id))
    outcome, heard = ended.follow()
    assert outcome.exit_code == 0
    assert "report.None succeeded" in heard


def test_a_task_that_failed_tells_why_and_its_exit_code(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.tasks.event("ingest", None, "failed", 1.0, message="data.npz: there is no array y", exit_code=2)
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 2
    assert outcome.message is not None
    assert outcome.message.startswith("ingest: data.npz: there is no array y")
    assert not (submitted.workdir / "runs" / "latest").exists()


def test_a_run_whose_pods_never_ran_tells_what_kubeflow_says(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.kfp.state.fail_task(submitted.run.run_id, "ingest", "ImagePullBackOff: no such\nimage")
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "ingest: ImagePullBackOff: no such image" in outcome.message
    assert submitted.run.run_id in outcome.message


def test_a_run_that_is_stopped(submitted: Submitted) -> None:
    connection = connect(submitted.kfp)
    outcome, heard = submitted.follow(
        ("tasks planned", submitted.goes("RUNNING")),
        ("running", lambda: connection.runs.run_service_terminate_run(submitted.run.run_id)),
        ("running -> canceling", submitted.goes("CANCELED")),
    )
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "stopped" in outcome.message
    assert "Kubeflow: canceling -> canceled" in heard


def test_a_run_that_failed_after_its_verdict_keeps_the_verdict(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.tasks.finish("passed")
        submitted.tasks.event("release", None, "failed", 9.0, message="the store refuses", exit_code=1)
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 1
    assert outcome.verdict is not None
    assert outcome.message is not None
    assert outcome.message.startswith("release: the store refuses")


@pytest.mark.parametrize("kind", ["drop", "lose answer", "cut answer", "refuse"])
def test_a_connection_that_drops_while_waiting(submitted: Submitted, kind: Kind) -> None:
    fault = Fault(kind, at="GET .*/runs/", times=10)  # more than one request's attempts
    outcome, heard = submitted.follow(
        ("tasks planned", submitted.goes("RUNNING")),
        ("pending -> running", lambda: submitted.kfp.faults.add(fault)),
        ("still following", submitted.ends("passed")),
    )
    assert outcome.exit_code == 0
    assert sum("still following" in text for text in heard) == 1
    assert any("answers again" in text for text in heard)


def test_kubeflow_that_stays_away_ends_the_following_not_the_run(submitted: Submitted) -> None:
    submitted.kfp.faults.add(Fault("drop", at="GET .*/runs/", times=10_000))
    with pytest.raises(KubeflowError, match="connection broke"):
        submitted.follow(pace=replace(PACE, lost_limit_s=0.2))
    assert submitted.kfp.only_run()["state"] == "PENDING"


def test_credentials_that_expire_while_waiting_end_the_following(submitted: Submitted) -> None:
    submitted.kfp.faults.add(Fault("refuse", at="GET .*/runs/", times=10_000, status=401))
    with pytest.raises(KubeflowError, match="401"):
        submitted.follow()


def test_a_run_without_a_verdict_is_no_success(submitted: Submitted) -> None:
    outcome, _ = submitted.follow(("tasks planned", submitted.goes("SUCCEEDED")))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "holds no verdict" in outcome.message


def test_a_store_that_cannot_be_read_leaves_the_runs_state(submitted: Submitted) -> None:
    blocked = submitted.workdir.parent / "blocked"
    blocked.write_text("a file where the store's folder should be")
    run = replace(submitted.run, storage_uri=str(blocked))
    outcome, heard = replace(submitted, run=run).follow(
        ("tasks planned", submitted.goes("RUNNING")), ("pending -> running", submitted.goes("SUCCEEDED"))
    )
    assert sum("only the run's state" in text for text in heard) <= 1
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert submitted.run.run_id in outcome.message


def test_a_key_that_leads_out_of_the_runs_folder_is_refused(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgepress.storage.filesystem import FilesystemStore

    listed = FilesystemStore.list_keys
    key = f"runs/{submitted.run.run_id}/../../escaped"
    monkeypatch.setattr(FilesystemStore, "list_keys", lambda self, prefix="": [*listed(self, prefix), key])
    outcome, _ = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "leads out" in outcome.message
    assert not (submitted.workdir / "escaped").exists()


def test_results_that_arrive_in_part_hold_no_verdict(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgepress.storage.filesystem import FilesystemStore

    download = FilesystemStore.download_file

    def refuse_models(self: FilesystemStore, key: str, path: Path) -> None:
        if "/models/" in key:
            raise StorageError("the store is down")
        download(self, key, path)

    monkeypatch.setattr(FilesystemStore, "download_file", refuse_models)
    outcome, _ = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert outcome.exit_code == 1
    assert not (outcome.run_dir / "verdict.json").exists()
    assert not (submitted.workdir / "runs" / "latest").exists()
