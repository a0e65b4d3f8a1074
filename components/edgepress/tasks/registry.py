"""Every kind of learning task and every metric, by name."""

from edgepress.tasks import comparisons
from edgepress.tasks.anomaly_detection import AnomalyDetection
from edgepress.tasks.classification import Classification
from edgepress.tasks.metric import MOST, Metric
from edgepress.tasks.regression import Regression
from edgepress.tasks.task import LearningTask, TaskName

TASKS: dict[TaskName, LearningTask] = {task.name: task for task in (Classification(), Regression(), AnomalyDetection())}

SIZE_BYTES = Metric("size_bytes", "file size", "bytes", "lower", "file", whole=True)
SIZE_GZIP_BYTES = Metric("size_gzip_bytes", "gzip size", "bytes", "lower", "file", whole=True)
PARAMETERS = Metric("parameters", "parameters", "count", "lower", "file", whole=True)
MACS = Metric("macs", "multiply-accumulates", "count", "lower", "file", whole=True)
SPARSITY = Metric("sparsity", "sparsity", "ratio", "higher", "file")
LATENCY_P50_MS = Metric("latency_p50_ms", "p50 latency", "ms", "lower", "machine")
LATENCY_P95_MS = Metric("latency_p95_ms", "p95 latency", "ms", "lower", "machine")
LATENCY_P99_MS = Metric("latency_p99_ms", "p99 latency", "ms", "lower", "machine")
PEAK_MEMORY_BYTES = Metric("peak_memory_bytes", "peak memory", "bytes", "lower", "machine", whole=True, range=(0.0, MOST))

OF_EVERY_TASK = (
    SIZE_BYTES,
    SIZE_GZIP_BYTES,
    PARAMETERS,
    MACS,
    SPARSITY,
    LATENCY_P50_MS,
    LATENCY_P95_MS,
    LATENCY_P99_MS,
    PEAK_MEMORY_BYTES,
    comparisons.LATENCY_RATIO,
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(metric for task in TASKS.values() for metric in task.metrics),
        *OF_EVERY_TASK,
        *(metric for task in TASKS.values() for metric in task.comparisons),
    )
}
"""In the order of tables. Tasks that share a metric's name share what it says of itself, and measure it each in its own way."""


def metrics_of(task: LearningTask) -> tuple[Metric, ...]:
    """Every metric that a model of a task can have, in the order of tables."""
    own = {metric.name for metric in (*task.metrics, *task.comparisons, *OF_EVERY_TASK)}
    return tuple(metric for metric in METRICS.values() if metric.name in own)
