"""What the gate's steps tell the metrics of a run."""

from pathlib import Path

from edgepress import telemetry
from edgepress.contracts.verdict import read_verdict
from edgepress.observe.telling import Figure, listening
from tests.unit.sample_report import write_report


def test_every_candidate_and_the_verdict_are_told(tmp_path: Path) -> None:
    with listening() as told:
        verdict = read_verdict(write_report(tmp_path))
    values = {(figure.metric, figure.recipe): figure.value for figure in told.figures}
    assert len(values) == len(told.figures)
    for candidate in verdict.candidates:
        failed = candidate.outcome == "failed"
        assert values[telemetry.CANDIDATE_FAILED, candidate.recipe] == failed
        told_of = {
            name: values[metric, candidate.recipe] for name, metric in telemetry.CANDIDATE.items() if (metric, candidate.recipe) in values
        }
        seconds = {name: value / 1e3 for name, value in candidate.metrics.items() if name.endswith("_ms") and value is not None}
        assert told_of == {name: value for name, value in candidate.metrics.items() if value is not None} | seconds
        assert bool(told_of) == (not failed)
    assert (telemetry.CANDIDATE["size_bytes"], "baseline") in values
    assert (telemetry.CANDIDATE_FAILED, "baseline") not in values
    assert Figure(telemetry.GATE_PASSED, 1.0, None) in told.figures
    assert Figure(telemetry.GATE_INCONCLUSIVE, 0.0, None) in told.figures
    assert values[telemetry.GATE_TEST_SPLIT_USES, None] == verdict.test_split_uses
