"""Whole runs on KFP's local runner: what a run leaves for each verdict, for a failing recipe, and for bad input."""

import csv
import json

import pytest

from edgepress.release.verify import verify_bundle
from edgepress.task import EVENTS_NAME, TaskEvent
from edgepress_pipelines.flow.plan import plan_tasks
from edgepress_pipelines.local.request import PIPELINE_NAME, REQUEST_NAME, EngineRequest
from tests.pipelines.small_project import FinishedRun, SmallProject

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return SmallProject(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def passed(project: SmallProject) -> FinishedRun:
    # A third recipe cannot be applied: its pruning would begin after the last step.
    impossible = {"recipe": "impossible", "prune": {"final_sparsity": 0.5, "begin_step": 100_000, "train": {"epochs": 1}}}
    project.config["recipes"].append(impossible)
    return project.run()


def test_a_passed_run_is_released(passed: FinishedRun) -> None:
    assert passed.exit_code == 0, passed.output
    assert passed.verdict["outcome"] == "passed"
    manifest, _ = verify_bundle(passed.run_dir / "release")
    assert manifest.recipe == passed.verdict["nominee"]
    assert "s3://edgepress/releases/small/" in passed.output
    assert str(passed.run_dir / "report.html") in passed.output.replace("\n", "")


def test_a_run_leaves_its_folder_as_promised(passed: FinishedRun) -> None:
    folder = passed.run_dir
    assert (folder / "report.html").read_text().lstrip().lower().startswith("<!doctype html>")
    rows = list(csv.DictReader((folder / "leaderboard.csv").read_text().splitlines()))
    assert {row["recipe"] for row in rows} >= {"baseline", "float16", "pruned-int8", "impossible"}
    for recipe in ("float16", "pruned-int8"):
        assert json.loads((folder / "evaluations" / f"{recipe}.json").read_text())["recipe"] == recipe
        assert (folder / "models" / f"{recipe}.tflite").read_bytes()[4:8] == b"TFL3"
    assert (folder / "logs" / "prune.pruned-int8.log").stat().st_size > 0
    assert (folder.parent / "latest").resolve() == folder
    assert list(passed.project.temporary.iterdir()) == []


def test_the_tasks_of_a_run_are_those_that_were_planned_and_in_that_order(passed: FinishedRun) -> None:
    lines = (passed.run_dir / EVENTS_NAME).read_text().splitlines()
    events = [TaskEvent.model_validate_json(line) for line in lines]
    request = EngineRequest.model_validate_json((passed.run_dir / REQUEST_NAME).read_bytes())
    plan = plan_tasks(json.loads((passed.run_dir / PIPELINE_NAME).read_text()), request.parameters)
    assert {task.key for task in plan} == {(event.task, event.recipe) for event in events}
    began_s = {(event.task, event.recipe): event.unix_time_s for event in events if event.state == "started"}
    ended_s = {(event.task, event.recipe): event.unix_time_s for event in events if event.state == "succeeded"}
    assert [task.key for task in plan if any(began_s[task.key] < ended_s[earlier] for earlier in task.after)] == []
    assert f"{sum(task.applied for task in plan)} tasks planned" in passed.output


def test_a_recipe_that_fails_is_named_and_does_not_stop_the_run(passed: FinishedRun) -> None:
    failed = next(candidate for candidate in passed.verdict["candidates"] if candidate["recipe"] == "impossible")
    assert failed["outcome"] == "failed"
    assert len(failed["reasons"]) == 1
    assert "begin_step" in failed["reasons"][0]
    assert any("impossible" in line and "begin_step" in line for line in passed.output.splitlines())


def test_a_rejected_run_exits_10_and_releases_nothing(passed: FinishedRun, project: SmallProject) -> None:
    store_before = published(project)
    rejected = project.run("--set", "gate.accuracy.min=0.9999")
    assert rejected.exit_code == 10, rejected.output
    assert rejected.verdict["outcome"] == "rejected"
    assert not (rejected.run_dir / "release").exists()
    assert ("release", None) not in rejected.executed()
    assert published(project) == store_before
    assert "0.9999" in rejected.output or "99.99" in rejected.output


def test_without_any_threshold_nothing_is_released(passed: FinishedRun, project: SmallProject) -> None:
    rejected = project.run("--set", "gate={}")
    assert rejected.exit_code == 10, rejected.output
    assert "no threshold" in rejected.output
    assert not (rejected.run_dir / "release").exists()


def test_settings_that_no_command_line_could_hold(passed: FinishedRun, project: SmallProject) -> None:
    recipe = project.config["recipes"][1]
    before = dict(recipe["prune"])
    recipe["prune"]["skip_layers"] = ["logits"] * 15_000  # 135 kB
    try:
        done = project.run()
    finally:
        recipe["prune"] = before
    assert done.exit_code == 0, done.output
    assert {each for each in done.executed() if each[0] in ("train", "prune")} == {("prune", "pruned-int8")}
    judged = next(candidate for candidate in done.verdict["candidates"] if candidate["recipe"] == "pruned-int8")
    assert judged["outcome"] != "failed"


def published(project: SmallProject) -> list[str]:
    data = project.workdir / "store" / "data"
    return sorted(str(path) for path in data.rglob("*.dat"))


def test_bad_data_ends_the_run_with_one_line_and_exit_2(passed: FinishedRun, project: SmallProject) -> None:
    bad = project.folder / "bad.npz"
    bad.write_bytes(b"not an archive")
    run = project.run("--set", f"dataset.source={bad}")
    assert run.exit_code == 2, run.output
    errors = [line for line in run.output.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert "bad.npz" in errors[0]
    assert "Traceback" not in run.output
    assert not (run.run_dir / "verdict.json").exists()
    assert (project.workdir / "runs" / "latest").resolve() != run.run_dir


@pytest.mark.parametrize(
    "override", ["release.endpoint_url=http://127.0.0.1:9", "dataset.source=s3://data/x.npz", "baseline={from: 's3://models/x.h5'}"]
)
def test_unreachable_store_is_told_before_anything_runs(passed: FinishedRun, project: SmallProject, override: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    runs_before = len(list((project.workdir / "runs").iterdir()))
    run = project.run("--set", override, environment=environment)
    assert run.exit_code == 1
    assert "127.0.0.1:9" in run.output
    assert "Traceback" not in run.output
    assert len(list((project.workdir / "runs").iterdir())) == runs_before
