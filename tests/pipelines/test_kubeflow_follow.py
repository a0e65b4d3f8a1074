"""Following a run: what is shown, what is fetched, how it ends, and that trouble on the way is survived."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import InputError, StorageError
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.filesystem import FilesystemStore
from edgepress.storage.s3 import ATTEMPTS
from edgepress.task import TaskEvent
from edgepress_pipelines.display import PlannedTask
from edgepress_pipelines.kubeflow.errors import KubeflowError
from edgepress_pipelines.kubeflow.follow import Pace, follow_run
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.run_folder import RunFolder
from edgepress_pipelines.kubeflow.run_record import RunRecord, read_run
from edgepress_pipelines.kubeflow.submit import submit_run
from edgepress_pipelines.run_outcome import RunOutcome
from tests.faults.s3_proxy import Fault as S3Fault
from tests.faults.s3_proxy import Plan, running_proxy
from tests.kfp_api.faults import Fault, Kind
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import PUBLISHED_URI, RunOnCluster, connect, package_in, read_config
from tests.unit.store_environment import only

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


def submit(kfp: KfpServer, folder: Path, storage: str) -> Submitted:
    config = read_config(folder)
    package = package_in(folder, config)
    parameters: Any = package.parameters | {"context": f'{{"name": "digits", "storage": "{storage}"}}'}
    submitted = submit_run(config, connect(kfp), Package(pipeline=package.pipeline, parameters=parameters))
    run = read_run(connect(kfp), submitted.run_id)
    return Submitted(kfp, run, RunOnCluster(storage, run.run_id), folder / "work")


@pytest.fixture
def submitted(tmp_path: Path) -> Iterator[Submitted]:
    with running_kfp() as kfp:
        yield submit(kfp, tmp_path, str(tmp_path / "store"))


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
    assert outcome.published_uri == (PUBLISHED_URI if kind == "passed" else None)
    fetched = {str(path.relative_to(outcome.run_dir)) for path in outcome.run_dir.rglob("*") if path.is_file()}
    results = {"verdict.json", "report.html", "leaderboard.csv", "models/int8.tflite", "logs/train.baseline.log"}
    assert fetched == results | ({"published.json"} if kind == "passed" else set())


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


def test_a_task_that_is_tried_again_is_judged_by_its_last_attempt(submitted: Submitted) -> None:
    def tell(state: str, at_s: float, began_s: float, message: str | None = None, exit_code: int | None = None) -> None:
        submitted.tasks.event("train", "baseline", state, at_s, message=message, exit_code=exit_code, began_s=began_s)

    def fail_once() -> None:
        tell("started", 1.0, 1.0)
        tell("failed", 2.0, 1.0, "the store is away", 1)

    outcome, heard = submitted.follow(
        ("tasks planned", fail_once),
        ("train.baseline failed", lambda: tell("started", 32.0, 32.0)),
        ("train.baseline started", lambda: tell("succeeded", 40.0, 32.0)),
        ("train.baseline succeeded", submitted.ends("passed")),
    )
    assert outcome.exit_code == 0
    assert [text.split()[1] for text in heard if text.startswith("train.baseline ")] == ["started", "failed", "started", "succeeded"]


def test_the_last_attempt_of_a_task_says_why_the_run_failed(submitted: Submitted) -> None:
    def fail_twice() -> None:
        submitted.tasks.event("ingest", None, "failed", 2.0, message="the store is away", exit_code=1, began_s=1.0)
        submitted.tasks.event("ingest", None, "failed", 40.0, message="data.npz: there is no array y", exit_code=2, began_s=32.0)
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail_twice))
    assert (outcome.exit_code, (outcome.message or "").split(" (")[0]) == (2, "ingest: data.npz: there is no array y")


def test_a_last_attempt_that_was_killed_hides_no_earlier_word(submitted: Submitted) -> None:
    def fail_then_vanish() -> None:
        submitted.tasks.event("ingest", None, "started", 1.0)
        submitted.tasks.event("ingest", None, "failed", 2.0, message="the store is away", exit_code=1)
        submitted.tasks.event("ingest", None, "started", 32.0, began_s=32.0)
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail_then_vanish))
    assert outcome.message is not None
    assert outcome.message.startswith("ingest ended without a word")


def test_an_event_is_not_lost_when_the_store_hiccups(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FilesystemStore.get_bytes
    hiccups = [StorageError("the store is away")] * 3

    def hiccup(self: FilesystemStore, key: str) -> bytes:
        if ".failed." in key and hiccups:
            raise hiccups.pop()
        return read(self, key)

    monkeypatch.setattr(FilesystemStore, "get_bytes", hiccup)

    def fail() -> None:
        submitted.tasks.event("evaluate", "int8", "started", 1.0)  # read before the hiccup
        submitted.tasks.event("ingest", None, "failed", 2.0, message="data.npz: there is no array y", exit_code=2)

    outcome, heard = submitted.follow(
        ("tasks planned", fail),
        ("evaluate.int8 started", lambda: None),
        ("ingest.None failed", submitted.goes("FAILED")),
    )
    assert hiccups == []
    assert outcome.exit_code == 2
    assert sum("only the run's state" in text for text in heard) == 1


def test_an_event_that_cannot_be_understood_costs_no_other(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.tasks.write("events/a.1.started.json", b'{"other": 1}')
        submitted.tasks.event("ingest", None, "failed", 1.0, message="data.npz: there is no array y", exit_code=2)
        submitted.goes("FAILED")()

    outcome, heard = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 2
    assert sum("a.1.started.json is not an event" in text for text in heard) == 1


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
    listed = FilesystemStore.list_keys
    key = f"runs/{submitted.run.run_id}/../../escaped"
    monkeypatch.setattr(FilesystemStore, "list_keys", lambda self, prefix="": [*listed(self, prefix), key])
    outcome, _ = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "is no plain relative path" in outcome.message
    assert not (submitted.workdir / "escaped").exists()


@dataclass
class Outage(Plan):
    """Drops so many requests, whatever they are."""

    drops: int = 0

    def fault_of(self, method: str) -> S3Fault:
        with self.lock:
            self.drops, dropped = max(0, self.drops - 1), self.drops > 0
        return "not sent" if dropped else "none"


def test_a_store_that_restarts_when_the_run_has_ended_is_waited_for(tmp_path: Path) -> None:
    with running_kfp() as kfp, EmbeddedStore(tmp_path / "store") as store, running_proxy(store.endpoint_url) as proxy:
        with only(store.environment):
            open_store("s3://runs-bucket")  # makes the bucket
        proxy.plan = outage = Outage()
        with only({**store.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}):
            submitted = submit(kfp, tmp_path, "s3://runs-bucket/edgepress")

            def fall_silent() -> None:
                outage.drops = 2 * ATTEMPTS + 1  # more than two operations try without patience

            outcome, _ = submitted.follow(
                ("tasks planned", submitted.goes("RUNNING")),
                ("pending -> running", lambda: submitted.tasks.event("ingest", None, "started", 0.5)),
                ("ingest.None started", submitted.ends("passed")),
                ("running -> succeeded", fall_silent),
            )
    assert outage.drops == 0
    assert (outcome.exit_code, outcome.message, outcome.published_uri) == (0, None, PUBLISHED_URI)


def test_a_store_that_never_answered_is_not_waited_for_at_the_end(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FilesystemStore, prefix: str = "") -> list[str]:
        raise StorageError("the endpoint cannot be reached")

    waited: list[float] = []
    monkeypatch.setattr(FilesystemStore, "list_keys", refuse)
    monkeypatch.setattr(RunFolder, "wait_for_store", lambda self, patience_s: waited.append(patience_s))
    outcome, _ = submitted.follow(("only the run's state", submitted.goes("SUCCEEDED")))
    assert waited == []
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert f"fetch them later with: edgepress runs follow {submitted.run.run_id}" in outcome.message
    again, _ = replace(submitted, run=read_run(connect(submitted.kfp), submitted.run.run_id)).follow()
    assert waited == [PACE.store_patience_s]
    assert again.exit_code == 1


def test_a_token_file_that_is_being_replaced_is_waited_for(submitted: Submitted, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    listener = Listener([("tasks planned", submitted.goes("RUNNING")), ("pending -> running", lambda: token.write_text("") and None)])
    listener.steps += [("still following", lambda: token.write_text("t0ken") and None), ("answers again", submitted.ends("passed"))]
    outcome = follow_run(connect(submitted.kfp, token_file=token), submitted.run, submitted.workdir, listener, PACE)
    assert listener.steps == []
    assert outcome.exit_code == 0


def test_a_token_file_that_stays_empty_ends_the_following(submitted: Submitted, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    connection = connect(submitted.kfp, token_file=token)
    token.write_text("")
    with pytest.raises(InputError, match="token"):
        follow_run(connection, submitted.run, submitted.workdir, Listener(), replace(PACE, lost_limit_s=0.1))


def test_results_that_arrive_in_part_hold_no_verdict(submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
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
