"""The exit handler's step: every way a run can end is told to its metrics, whatever else is broken."""

from pathlib import Path

import pytest

from edgepress import telemetry
from edgepress.contracts.release import PUBLISHED_NAME
from edgepress.contracts.verdict import VERDICT_NAME
from edgepress.errors import StorageError
from edgepress.finish.step import finish
from edgepress.observe.telling import listening
from tests.unit.sample_release import published_as
from tests.unit.sample_verdict import verdict_of


@pytest.mark.parametrize(
    ("engine_state", "state", "succeeded"),
    [
        ("COMPLETE", "succeeded", [1.0]),
        ("SUCCEEDED", "succeeded", [1.0]),
        ("CACHED", "succeeded", [1.0]),
        ("FAILED", "failed", [0.0]),
        ("CANCELED", "stopped", []),
        ("CANCELLED", "stopped", []),
        ("RUNNING", "unknown", []),
        ("", "unknown", []),
    ],
)
def test_kfp_s_word_for_the_end(engine_state: str, state: str, succeeded: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as told:
        finish(name="demo", run_id="run-1", engine_state=engine_state)
    assert [figure.value for figure in told.figures if figure.metric == telemetry.RUN_SUCCEEDED] == succeeded
    assert [figure.metric for figure in told.figures].count(telemetry.RUN_LAST_COMPLETION) == 1
    assert capsys.readouterr().out == f"run run-1 of demo: {state}\n"


def test_kfp_s_reason_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    finish(name="demo", run_id="run-1", engine_state="FAILED", message="train: out of memory")
    assert capsys.readouterr().out == "run run-1 of demo: failed (train: out of memory)\n"


@pytest.mark.parametrize(
    ("verdict", "is_published", "state", "succeeded"),
    [
        ("passed", True, "succeeded", [1.0]),
        ("rejected", False, "succeeded", [1.0]),
        ("passed", False, "unknown", []),  # the release may have failed
        (None, False, "unknown", []),
    ],
)
def test_where_kfp_has_not_settled_the_run_what_it_left_tells(
    verdict: str | None, is_published: bool, state: str, succeeded: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a loop whose tasks came from the cache, KFP 2.17.0 says RUNNING of a run that has ended."""
    if verdict is not None:
        (tmp_path / VERDICT_NAME).write_text(verdict_of(verdict).model_dump_json(by_alias=True))
    if is_published:
        (tmp_path / PUBLISHED_NAME).write_text(published_as("s3://releases/demo/1").model_dump_json())
    with listening() as told:
        finish(name="demo", run_id="run-1", engine_state="RUNNING", folder=str(tmp_path))
    assert [figure.value for figure in told.figures if figure.metric == telemetry.RUN_SUCCEEDED] == succeeded
    assert capsys.readouterr().out.startswith(f"run run-1 of demo: {state}")


def test_what_kfp_has_settled_is_not_asked_of_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release that failed has a verdict before it, and a run may have failed for want of the store."""
    (tmp_path / VERDICT_NAME).write_text(verdict_of("rejected").model_dump_json(by_alias=True))
    for folder in (str(tmp_path), "nowhere://at-all"):
        finish(name="demo", run_id="run-1", engine_state="FAILED", folder=folder)
        assert capsys.readouterr().out == "run run-1 of demo: failed\n"


@pytest.mark.parametrize("broken", ["verdict", "store"])
def test_what_cannot_be_read_leaves_the_end_unknown_and_says_why(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / VERDICT_NAME).write_text('{"schema_version": 99}')

    def refuse(self: object, key: str) -> bool:
        raise StorageError("access denied")

    if broken == "store":
        monkeypatch.setattr("edgepress.storage.filesystem.FilesystemStore.exists", refuse)
    finish(name="demo", run_id="run-1", engine_state="RUNNING", folder=str(tmp_path))
    why = "access denied" if broken == "store" else "verdict.json was not written by this release of EdgePress"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("run run-1 of demo: unknown (")
    assert why in line
