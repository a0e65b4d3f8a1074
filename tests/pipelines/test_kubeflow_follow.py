"""Following a run: what is shown, what is fetched, and how it ends."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgepress_pipelines.kubeflow.runs.record import read_run
from tests.kfp_api.server import running_kfp
from tests.pipelines.cluster_project import PUBLISHED_URI, connect
from tests.pipelines.followed_run import Submitted, submit

pytestmark = pytest.mark.timeout(120)


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


def test_of_tasks_that_say_nothing_more_the_one_that_was_killed_is_named(submitted: Submitted) -> None:
    def kill() -> None:
        submitted.tasks.event("evaluate_test", "baseline", "started", 1.0)
        submitted.tasks.event("convert", "int8", "started", 2.0)
        submitted.kfp.state.report_task(submitted.run.run_id, "evaluate-test", "FAILED")
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", kill))
    assert outcome.exit_code == 1
    url = connect(submitted.kfp).run_url(submitted.run.run_id)
    assert outcome.message == f"evaluate_test of baseline ended without a word (killed, or out of memory?); see {url}"


def test_logs_are_named_where_there_are_some(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.tasks.event("ingest", None, "failed", 1.0, message="data.npz: there is no array y", exit_code=2)
        submitted.tasks.write("logs/ingest.log", b"data.npz: there is no array y")
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail))
    assert outcome.message == f"ingest: data.npz: there is no array y (see {outcome.run_dir / 'logs'})"


def test_a_verdict_of_another_release_is_said_and_is_not_the_latest(submitted: Submitted) -> None:
    def end() -> None:
        submitted.tasks.write("verdict.json", b'{"schema_version": 99}')
        submitted.goes("SUCCEEDED")()

    outcome, _ = submitted.follow(("tasks planned", end))
    assert (outcome.exit_code, outcome.verdict) == (1, None)
    assert "not with a verdict that can be read here" in (outcome.message or "")
    assert not (submitted.workdir / "runs" / "latest").exists()


def test_logs_of_a_run_that_goes_on_are_where_a_command_finds_them(submitted: Submitted) -> None:
    _, heard = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert heard[0].endswith(f"; logs: edgepress runs logs {submitted.run.run_id} [TASK]")


def test_nothing_is_claimed_of_a_run_of_others(submitted: Submitted) -> None:
    foreign = replace(submitted.run, version=None, storage_uri=None, pipeline="")
    _, heard = replace(submitted, run=foreign).follow(("logs: None", submitted.goes("SUCCEEDED")))
    assert heard[0] == f"run {foreign.run_id}; logs: None"
    assert "tasks cannot be followed" in heard[1]


def test_the_tasks_to_come_are_those_of_the_run_s_own_pipeline(submitted: Submitted) -> None:
    _, heard = submitted.follow(("tasks planned", submitted.ends("passed")))
    assert heard[1] == "23 tasks planned"


def test_a_run_whose_pipeline_was_deleted_is_followed_all_the_same(submitted: Submitted) -> None:
    with submitted.kfp.state.lock:
        submitted.kfp.state.versions.clear()
    outcome, heard = submitted.follow(("which tasks are to come is not known: ", submitted.ends("passed")))
    assert outcome.exit_code == 0
    assert "not found" in heard[1]


@pytest.mark.parametrize(
    ("failed", "named"), [("ingest", "ingest"), ("evaluate-test", "evaluate_test of baseline"), ("convert-2", "convert")]
)
def test_a_task_whose_pod_never_ran_is_named(submitted: Submitted, failed: str, named: str) -> None:
    def fail() -> None:
        submitted.kfp.state.report_task(submitted.run.run_id, failed, "FAILED")
        submitted.goes("FAILED")()

    outcome, _ = submitted.follow(("tasks planned", fail))
    assert outcome.exit_code == 1
    url = connect(submitted.kfp).run_url(submitted.run.run_id)
    assert outcome.message == f"{named} failed before it could say a word (no such image, no room, a missing Secret?); see {url}"


def test_what_cannot_be_heard_is_not_taken_for_silence(submitted: Submitted) -> None:
    def fail() -> None:
        submitted.kfp.state.report_task(submitted.run.run_id, "ingest", "FAILED")
        submitted.goes("FAILED")()

    elsewhere = replace(submitted, run=replace(submitted.run, storage_uri=None))
    outcome, _ = elsewhere.follow(("tasks planned", fail))
    assert outcome.message == f"the run failed on Kubeflow; see {connect(submitted.kfp).run_url(submitted.run.run_id)}"


def test_a_run_that_is_stopped(submitted: Submitted) -> None:
    connection = connect(submitted.kfp)
    outcome, heard = submitted.follow(
        ("tasks planned", submitted.goes("RUNNING")),
        ("running", lambda: connection.runs.run_service_terminate_run(submitted.run.run_id)),
        ("running -> canceling", submitted.goes("FAILED")),
    )
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert outcome.message.startswith("the run was stopped on Kubeflow")
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


def test_a_run_without_a_verdict_is_no_success(submitted: Submitted) -> None:
    outcome, _ = submitted.follow(("tasks planned", submitted.goes("SUCCEEDED")))
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert "holds no verdict" in outcome.message
