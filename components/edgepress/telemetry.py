"""The Prometheus metrics of EdgePress: their names, types, labels and help texts, stated here and nowhere else.

A task lives too briefly to be scraped, so it and the trigger's CronJob push gauges to a Pushgateway, which keeps the last value of each
group; the webhook receiver is scraped. Counters belong to the receiver alone: pushed by a process that does one thing and ends, a counter
would stand at 1 for ever. Units are base units and stand in the names, as Prometheus has it
(https://prometheus.io/docs/practices/naming/). Alerting rules and the dashboard under ``manifests/components/monitoring`` are tested
against this list.
"""

from typing import Final, Literal, NamedTuple

from edgepress.tasks import metric as tasks
from edgepress.tasks.registry import METRICS as METRICS_OF_MODELS
from edgepress.tasks.registry import TASKS

MetricType = Literal["gauge", "counter"]
Exporter = Literal["task", "trigger", "receiver"]

PIPELINE: Final = "pipeline"
TASK: Final = "task"
RECIPE: Final = "recipe"
SOURCE: Final = "source"
OUTCOME: Final = "outcome"

TASK_JOB: Final = "edgepress"
"""Label ``job`` of what tasks push. Their group is ``job``, ``pipeline``, ``task`` and, for a task of one recipe, ``recipe``."""

TRIGGER_JOB: Final = "edgepress-trigger"
"""Label ``job`` of what the trigger's CronJob pushes; its group is ``job`` and ``pipeline``."""

RECEIVER_JOB: Final = "edgepress-receiver"
"""Label ``job`` of the scraped receiver: the name of its Service."""

SourceValue = Literal["s3", "alertmanager", "unknown"]
"""``source`` of a request to the receiver; unknown: what it holds could not be told."""

RequestOutcome = Literal["accepted", "duplicate", "ignored", "unauthorized", "rate_limited", "malformed", "timed_out", "crowded_out"]
"""``outcome`` of a request to the receiver; ignored: understood, and no reason to look (an alert that is resolved, another prefix);
crowded_out: its connection was closed unread, because there were too many."""

CheckOutcome = Literal["started", "unchanged", "failed"]
"""``outcome`` of a check whether a run is due."""


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: as Prometheus stores it.
        type: gauge or counter.
        help: one sentence.
        labels: that the metric itself carries. A pushed metric carries those of its group and ``job`` besides.
        exporters: who exports it.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...]
    exporters: tuple[Exporter, ...]


def _of_task(name: str, text: str) -> Metric:
    return Metric(f"edgepress_task_{name}", "gauge", text, (PIPELINE, TASK, RECIPE), ("task",))


def _of_candidate(name: str, text: str) -> Metric:
    return Metric(f"edgepress_candidate_{name}", "gauge", text, (PIPELINE, RECIPE), ("task",))


def _of_run(name: str, text: str) -> Metric:
    return Metric(f"edgepress_{name}", "gauge", text, (PIPELINE,), ("task",))


TASK_DURATION: Final = _of_task("duration_seconds", "Wall time of the task's last execution.")
TASK_SUCCEEDED: Final = _of_task("succeeded", "1 if the task's last execution succeeded, 0 if it failed.")
TASK_LAST_COMPLETION: Final = _of_task("last_completion_timestamp_seconds", "When the task last ended, well or not.")


def in_base_unit(metric: tasks.Metric, value: float) -> float:
    """A metric's value in the base unit that its Prometheus metric has: seconds for milliseconds."""
    return value / 1e3 if metric.unit == "ms" else value


def _base_unit_name(metric: tasks.Metric) -> str:
    if metric.unit == "ms":
        return f"{metric.name.removesuffix('_ms')}_seconds"
    return f"{metric.name}_ratio" if metric.unit == "ratio" and not metric.name.endswith("_ratio") else metric.name


_SAID_OF = {
    "examples": "on validation data",
    "file": "of the shipped file",
    "machine": "of one inference on the benchmark's hardware",
    "comparison": "on validation data or the benchmark's hardware, beside the baseline",
}

CANDIDATE: Final[dict[str, Metric]] = {
    metric.name: _of_candidate(_base_unit_name(metric), f"{metric.heading}, {_SAID_OF[metric.source]}.")
    for metric in METRICS_OF_MODELS.values()
}
"""Metric of a model -> what tells it of each candidate."""

TASK_VALIDATION: Final[dict[str, Metric]] = {
    task.selecting.name: _of_task(
        f"validation_{_base_unit_name(task.selecting)}",
        f"{task.selecting.heading} of the Keras model that the task last trained, on validation data.",
    )
    for task in TASKS.values()
}
"""Selecting metric of a kind of learning task -> what a task that trains tells of it."""

CANDIDATE_FAILED: Final = _of_candidate("failed", "1 if the recipe gave no candidate because a stage failed, 0 otherwise.")

GATE_PASSED: Final = _of_run("gate_passed", "1 if the last verdict is passed, 0 if it is rejected or inconclusive.")
GATE_INCONCLUSIVE: Final = _of_run("gate_inconclusive", "1 if the last verdict is inconclusive, 0 otherwise.")
GATE_VERDICT: Final = _of_run("gate_verdict_timestamp_seconds", "When the gate last gave a verdict.")
GATE_TEST_SPLIT_USES: Final = _of_run("gate_test_split_uses", "How often this test split has been used to judge, this verdict included.")

RELEASE: Final = _of_run("release_timestamp_seconds", "When a release was last published.")

RUN_SUCCEEDED: Final = _of_run(
    "run_succeeded", "1 if the last run that was not stopped succeeded, 0 if it failed; told by the exit handler."
)
RUN_LAST_COMPLETION: Final = _of_run("run_last_completion_timestamp_seconds", "When the last run ended; told by the exit handler.")

TRIGGER_LAST_SUCCESS: Final = Metric(
    "edgepress_trigger_last_success_timestamp_seconds",
    "gauge",
    "When it was last found out whether a run is due, and one that was due was started.",
    (PIPELINE,),
    ("trigger", "receiver"),
)
TRIGGER_LAST_START: Final = Metric(
    "edgepress_trigger_last_start_timestamp_seconds", "gauge", "When a run was last started.", (PIPELINE,), ("trigger", "receiver")
)
TRIGGER_CHECKS: Final = Metric(
    "edgepress_trigger_checks_total", "counter", "Checks whether a run is due, by outcome.", (PIPELINE, OUTCOME), ("receiver",)
)
RECEIVER_REQUESTS: Final = Metric(
    "edgepress_receiver_requests_total",
    "counter",
    "Requests to the receiver, by source and outcome.",
    (SOURCE, OUTCOME),
    ("receiver",),
)

METRICS: Final[tuple[Metric, ...]] = (
    TASK_DURATION,
    TASK_SUCCEEDED,
    TASK_LAST_COMPLETION,
    *TASK_VALIDATION.values(),
    *CANDIDATE.values(),
    CANDIDATE_FAILED,
    GATE_PASSED,
    GATE_INCONCLUSIVE,
    GATE_VERDICT,
    GATE_TEST_SPLIT_USES,
    RELEASE,
    RUN_SUCCEEDED,
    RUN_LAST_COMPLETION,
    TRIGGER_LAST_SUCCESS,
    TRIGGER_LAST_START,
    TRIGGER_CHECKS,
    RECEIVER_REQUESTS,
)
"""Every metric there is."""
