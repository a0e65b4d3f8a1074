"""Choose, on validation data, the candidate that is worth a look at the test split. Pure: no files, no clock, no order of arrival."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.measured import finite
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.thresholds import NO_THRESHOLD, check_threshold, thresholds_of
from edgepress.contracts.verdict import CandidateVerdict
from edgepress.gate.measurement import Measurement
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import LATENCY_P50_MS, METRICS, SIZE_GZIP_BYTES
from edgepress.tasks.task import LearningTask


@dataclass(frozen=True)
class Choice:
    """Every candidate's verdict, best first, and the nominee; None when no candidate is eligible."""

    candidates: tuple[CandidateVerdict, ...]
    nominee: str | None


def choose_nominee(task: LearningTask, policy: GateSettings, baseline: Measurement, candidates: Sequence[Measurement]) -> Choice:
    """Nominate the best of the candidates that hold every threshold.

    Best is by the policy's objective. Equal ones are told apart by the task's selecting metric, then smaller gzip size, then lower p50
    latency, then the recipe's name, so the choice never depends on the order in which candidates arrive.
    """
    judged = [_judge(policy, baseline, candidate) for candidate in candidates]
    ranks = {"eligible": 0, "ineligible": 1, "failed": 2}
    judged.sort(key=lambda verdict: (ranks[verdict.outcome], _preference(task, policy, verdict)))
    nominee = judged[0].recipe if judged and judged[0].outcome == "eligible" else None
    if nominee is not None:
        judged[0] = judged[0].model_copy(update={"outcome": "nominated"})
    return Choice(candidates=tuple(judged), nominee=nominee)


def _judge(policy: GateSettings, baseline: Measurement, candidate: Measurement) -> CandidateVerdict:
    reasons = tuple(_reasons(policy, baseline, candidate))
    if candidate.failure is not None:
        return _verdict(candidate, "failed", (f"{candidate.failure.stage}: {candidate.failure.reason}",))
    return _verdict(candidate, "ineligible" if reasons else "eligible", reasons)


def _reasons(policy: GateSettings, baseline: Measurement, candidate: Measurement) -> list[str]:
    if candidate.recipe == BASELINE:
        return [f"{BASELINE} names the uncompressed model and cannot be nominated"]
    if candidate.faults:
        return list(candidate.faults)
    if baseline.failure is not None:
        return [f"the baseline failed in {baseline.failure.stage}: {baseline.failure.reason}"]
    if baseline.faults:
        return [f"the baseline cannot be compared with: {fault}" for fault in baseline.faults]
    thresholds = thresholds_of(policy)
    if not thresholds:
        return [NO_THRESHOLD]
    checks = [check_threshold(threshold, candidate.metrics, baseline.metrics) for threshold in thresholds]
    reasons = [check.reason for check in checks if check.outcome != "passed"]
    if finite(candidate.metrics).get(policy.objective) is None:
        reasons.append(f"the objective, {METRICS[policy.objective].title}, was not measured")
    return reasons


def _verdict(candidate: Measurement, outcome: str, reasons: tuple[str, ...]) -> CandidateVerdict:
    return CandidateVerdict.model_validate(
        {
            "recipe": candidate.recipe,
            "outcome": outcome,
            "model_digest": candidate.model_digest,
            "reasons": reasons,
            "metrics": finite(candidate.metrics),
        }
    )


def _preference(task: LearningTask, policy: GateSettings, verdict: CandidateVerdict) -> tuple[tuple[float, ...], str]:
    order = (METRICS[policy.objective], task.selecting, SIZE_GZIP_BYTES, LATENCY_P50_MS)
    return tuple(_rank(metric, verdict.metrics.get(metric.name)) for metric in order), verdict.recipe


def _rank(metric: Metric, value: float | None) -> float:
    """Sorts better values first, and what was not measured last."""
    if value is None:
        return math.inf
    return -value if metric.direction == "higher" else value
