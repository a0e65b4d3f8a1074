"""Every metric of one model: from its evaluation, its latency, and the evaluation of a reference on the same examples."""

import math

from edgepress.contracts.evaluation import OpenedEvaluation, compare
from edgepress.contracts.latency import Latency
from edgepress.contracts.metrics import Metrics
from edgepress.tasks.registry import TASKS, metrics_of


def gather_metrics(evaluation: OpenedEvaluation, latency: Latency | None, reference: OpenedEvaluation) -> Metrics:
    """Every metric of the task, in the order of tables; None for what was not measured, or is NaN or infinite.

    Args:
        evaluation: of the model.
        latency: of the same model.
        reference: the baseline's evaluation on the same examples.

    Raises:
        IntegrityError: the two evaluations are not of the same examples.
    """
    values: dict[str, float | int | None] = dict(evaluation.record.metrics) | compare(evaluation, reference)
    if latency is not None:
        values |= latency.metrics
    return finite({metric.name: values.get(metric.name) for metric in metrics_of(TASKS[evaluation.record.task])})


def finite(metrics: Metrics) -> Metrics:
    """The same metrics with None for whatever is NaN or infinite, as a verdict may hold them."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()}
