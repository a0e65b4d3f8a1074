"""What the gate tells the run's metrics.

Of candidates it is told here and not where each is evaluated: evaluations may come from the cache, which tells nothing, while nominating
sees all of them in every run. So the metrics are those of the newest run, and a recipe that was removed goes.
"""

from edgepress import telemetry
from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.nomination import Nomination
from edgepress.contracts.verdict import Verdict
from edgepress.task import tell_figure
from edgepress.tasks.registry import METRICS


def tell_candidates(nomination: Nomination, baseline: Metrics) -> None:
    """Tell whether each recipe gave a candidate, and all its metrics on validation data; the baseline's too."""
    _tell_model(BASELINE, baseline)
    for candidate in nomination.candidates:
        tell_figure(telemetry.CANDIDATE_FAILED, float(candidate.outcome == "failed"), recipe=candidate.recipe)
        _tell_model(candidate.recipe, candidate.metrics)


def tell_verdict(verdict: Verdict, unix_time_s: float) -> None:
    """Tell the verdict, when it was given, and how often its test split has been used."""
    tell_figure(telemetry.GATE_PASSED, float(verdict.outcome == "passed"))
    tell_figure(telemetry.GATE_INCONCLUSIVE, float(verdict.outcome == "inconclusive"))
    tell_figure(telemetry.GATE_VERDICT, unix_time_s)
    tell_figure(telemetry.GATE_TEST_SPLIT_USES, verdict.test_split_uses)


def _tell_model(recipe: str, metrics: Metrics) -> None:
    for name, value in metrics.items():
        if value is not None:
            tell_figure(telemetry.CANDIDATE[name], telemetry.in_base_unit(METRICS[name], value), recipe=recipe)
