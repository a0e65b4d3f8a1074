"""The exit handler's step: every way a run can end is told to its metrics, whatever else is broken."""

import pytest

from edgepress import telemetry
from edgepress.finish.step import finish
from edgepress.observe.telling import listening


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
