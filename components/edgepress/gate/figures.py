"""What the gate tells the run's metrics.

Of candidates it is told here and not where each is evaluated: evaluations may come from the cache, which tells nothing, while nominating
sees all of them in every run. So the metrics are those of the newest run, and a recipe that was removed goes.
"""

from edgepress import telemetry
from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.evaluation import Evaluation
from edgepress.contracts.nomination import Nomination
from edgepress.contracts.verdict import Verdict
from edgepress.task import tell_figure


def tell_candidates(nomination: Nomination, baseline: Evaluation) -> None:
    """Tell whether each recipe gave a candidate, and its accuracy and sizes on validation data; the baseline's too."""
    if baseline.metrics is not None:
        _tell_model(BASELINE, baseline.metrics.accuracy, baseline.metrics.size_bytes, baseline.metrics.size_gzip_bytes)
    for candidate in nomination.candidates:
        tell_figure(telemetry.CANDIDATE_FAILED, float(candidate.outcome == "failed"), recipe=candidate.recipe)
        measured = candidate.metrics
        _tell_model(candidate.recipe, measured.accuracy, measured.size_bytes, measured.size_gzip_bytes)


def tell_verdict(verdict: Verdict, unix_time_s: float) -> None:
    """Tell the verdict, when it was given, and how often its test split has been used."""
    tell_figure(telemetry.GATE_PASSED, float(verdict.outcome == "passed"))
    tell_figure(telemetry.GATE_INCONCLUSIVE, float(verdict.outcome == "inconclusive"))
    tell_figure(telemetry.GATE_VERDICT, unix_time_s)
    tell_figure(telemetry.GATE_TEST_SPLIT_USES, verdict.test_split_uses)


def _tell_model(recipe: str, accuracy: float | None, size_bytes: int | None, size_gzip_bytes: int | None) -> None:
    told = (
        (telemetry.CANDIDATE_ACCURACY, accuracy),
        (telemetry.CANDIDATE_SIZE, size_bytes),
        (telemetry.CANDIDATE_SIZE_GZIP, size_gzip_bytes),
    )
    for metric, value in told:
        if value is not None:
            tell_figure(metric, value, recipe=recipe)
