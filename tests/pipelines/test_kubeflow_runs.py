"""Lists of runs: what is shown of each, and that what cannot be read is said once."""

import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgepress.errors import InputError, IntegrityError, StorageError
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.runs.folder import RunFolder
from edgepress_pipelines.kubeflow.runs.listing import ListedRun, list_runs, show_runs
from edgepress_pipelines.kubeflow.runs.record import read_run
from edgepress_pipelines.kubeflow.runs.submit import submit_run
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import RunOnCluster, connect, package_of, read_config


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


def submit(kfp: KfpServer, folder: Path, storage: str) -> str:
    config = read_config(folder)
    package = package_of(config)
    parameters: Any = package.parameters | {"context": f'{{"name": "digits", "storage": "{storage}"}}'}
    return submit_run(config, connect(kfp), Package(pipeline=package.pipeline, parameters=parameters)).run_id


def no_word(line: str) -> None:
    raise AssertionError(line)


def test_each_run_with_its_state_duration_and_outcome(kfp: KfpServer, tmp_path: Path) -> None:
    storage = str(tmp_path / "store")
    first, second, third = (submit(kfp, tmp_path, storage) for _ in range(3))
    RunOnCluster(storage, first).finish("passed")
    kfp.state.set_state(first, "RUNNING")
    kfp.state.set_state(first, "SUCCEEDED")
    kfp.state.set_state(second, "FAILED")
    listed = list_runs(connect(kfp), "edgepress", 20, no_word)
    assert [(item.run.run_id, item.run.state, item.outcome) for item in listed] == [
        (third, "PENDING", None),
        (second, "FAILED", None),
        (first, "SUCCEEDED", "passed"),
    ]
    out = io.StringIO()
    going_on = listed[0].run.created_at
    assert going_on is not None
    show_runs(Console(file=out, width=200), listed, now=going_on + timedelta(minutes=2, seconds=5))
    lines = out.getvalue().splitlines()
    assert "2m 05s" in lines[1]
    assert lines[3].rstrip().endswith("passed")
    assert "1970" not in out.getvalue()


UNWELCOME = "bad [/draft] \x1b[31mred\nand more"


def shown(listed: Sequence[ListedRun], width: int, *, terminal: bool) -> str:
    out = io.StringIO()
    show_runs(Console(file=out, width=width, force_terminal=terminal, color_system=None, legacy_windows=False), listed)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_identifiers_and_names_are_whole_and_rule_no_terminal(kfp: KfpServer, tmp_path: Path, width: int, terminal: bool) -> None:
    run_id = submit(kfp, tmp_path, "")
    kfp.state.runs[run_id]["display_name"] = UNWELCOME
    lines = shown(list_runs(connect(kfp), "edgepress", 20, no_word), width, terminal=terminal).splitlines()
    assert len(lines) == 2, "a heading and a row, or two lines for the run"
    (line,) = (line for line in lines if run_id in line)
    assert "bad [/draft] [31mred and more" in line
    assert "\x1b" not in line
    assert terminal or "outcome" in lines[0]


def test_only_the_newest_are_asked_for(kfp: KfpServer, tmp_path: Path) -> None:
    runs = [submit(kfp, tmp_path, "") for _ in range(3)]
    assert [item.run.run_id for item in list_runs(connect(kfp), "edgepress", 2, no_word)] == runs[:0:-1]


def test_a_store_that_cannot_be_read_is_said_once(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        kfp.state.set_state(submit(kfp, tmp_path, str(tmp_path / "store")), "SUCCEEDED")

    def refuse(self: object, key: str) -> bool:
        raise StorageError("access denied")

    monkeypatch.setattr("edgepress.storage.filesystem.FilesystemStore.exists", refuse)
    said: list[str] = []
    listed = list_runs(connect(kfp), "edgepress", 20, said.append)
    assert [item.outcome for item in listed] == [None, None, None]
    assert said == ["outcomes cannot be read: access denied"]


def test_a_verdict_that_cannot_be_read_hides_no_other(kfp: KfpServer, tmp_path: Path) -> None:
    storage = str(tmp_path / "store")
    runs = [submit(kfp, tmp_path, storage) for _ in range(3)]
    for run_id in runs:
        RunOnCluster(storage, run_id).finish("passed")
        kfp.state.set_state(run_id, "SUCCEEDED")
    for run_id in runs[1:]:
        RunOnCluster(storage, run_id).write("verdict.json", b'{"schema_version": 99}')
    said: list[str] = []
    listed = list_runs(connect(kfp), "edgepress", 20, said.append)
    assert [item.outcome for item in listed] == ["unreadable", "unreadable", "passed"]
    assert said == [f"{storage}/runs/{runs[2]}/verdict.json was not written by this release of EdgePress and cannot be read"]


def test_a_run_of_others_in_a_place_that_cannot_be_read_hides_no_outcome(kfp: KfpServer, tmp_path: Path) -> None:
    storage = str(tmp_path / "store")
    ours, foreign = submit(kfp, tmp_path, storage), submit(kfp, tmp_path, "gs://elsewhere/runs")
    RunOnCluster(storage, ours).finish("passed")
    for run_id in (ours, foreign):
        kfp.state.set_state(run_id, "SUCCEEDED")
    said: list[str] = []
    listed = list_runs(connect(kfp), "edgepress", 20, said.append)
    assert [item.outcome for item in listed] == [None, "passed"]
    assert ["gs://elsewhere/runs" in line for line in said] == [True]


def test_markers_of_folders_are_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgepress.storage.filesystem import FilesystemStore

    listed = FilesystemStore.list_keys
    markers = ["runs/run/", "runs/run/logs/", "runs/run/events/"]
    monkeypatch.setattr(FilesystemStore, "list_keys", lambda self, prefix="": [*markers, *listed(self, prefix)])
    RunOnCluster(str(tmp_path / "store"), "run").finish("passed")
    folder = RunFolder(str(tmp_path / "store"), "run")
    assert folder.fetch(tmp_path / "here")
    assert folder.log_names() == ["train.baseline"]
    assert len(folder.new_events(no_word)) == 8


def test_an_experiment_that_is_not_there(kfp: KfpServer) -> None:
    with pytest.raises(InputError, match="there is no experiment 'other'"):
        list_runs(connect(kfp), "other", 20, no_word)


def test_a_fresh_installation_has_no_runs_yet(kfp: KfpServer) -> None:
    assert list_runs(connect(kfp), None, 20, no_word) == []
    assert shown([], 80, terminal=False) == "no runs yet\n"


def test_the_default_experiment_needs_no_name(kfp: KfpServer, tmp_path: Path) -> None:
    run_id = submit(kfp, tmp_path, "")
    assert [item.run.run_id for item in list_runs(connect(kfp), None, 20, no_word)] == [run_id]


def test_a_run_is_found_by_its_identifier_and_by_its_name(kfp: KfpServer, tmp_path: Path) -> None:
    run_id = submit(kfp, tmp_path, "")
    connection = connect(kfp)
    assert read_run(connection, run_id).name == kfp.only_run()["display_name"]
    assert read_run(connection, kfp.only_run()["display_name"]).run_id == run_id
    with pytest.raises(InputError, match="there is no run 'other'"):
        read_run(connection, "other")


def test_logs_that_are_not_there_are_explained(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    with pytest.raises(InputError, match="no task has written one yet"):
        folder.read_log("train")
    tasks = RunOnCluster(str(tmp_path), "run")
    tasks.write("logs/quantize.int8.log", b"one")
    tasks.write("logs/quantize.int16.log", b"two")
    tasks.write("logs/ingest.log", b"three \xff")
    with pytest.raises(InputError, match=r"give one of: quantize\.int16, quantize\.int8"):
        folder.read_log("quantize")
    with pytest.raises(InputError, match=r"there are: ingest, quantize\.int16, quantize\.int8"):
        folder.read_log("prune")
    assert folder.read_log("ingest") == "three \ufffd"
    tasks.write("logs/train.baseline.log", b"the only one of its task")
    assert folder.read_log("train") == "the only one of its task"


def test_an_event_or_a_verdict_of_another_kind_is_said(tmp_path: Path) -> None:
    tasks = RunOnCluster(str(tmp_path), "run")
    tasks.write("events/x.started.json", b'{"other": 1}')
    tasks.write("verdict.json", b'{"schema_version": 99}')
    folder = RunFolder(str(tmp_path), "run")
    said: list[str] = []
    assert folder.new_events(said.append) == folder.new_events(said.append) == []
    assert [line.endswith("x.started.json is not an event that this release of EdgePress can read") for line in said] == [True]
    with pytest.raises(IntegrityError, match=r"verdict\.json was not written by this release"):
        folder.verdict()
