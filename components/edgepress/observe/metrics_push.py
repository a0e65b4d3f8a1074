"""Metrics of what lives too briefly to be scraped, a task above all, pushed to a Pushgateway when it ends.

The group of what a task pushes is ``job``, ``pipeline``, ``task`` and, for a task of one recipe, ``recipe``. The run is no label: a
Pushgateway keeps every group for ever, so each run would add its own until the gateway's memory, and Prometheus's index, are full. Which
run a value came from, the log and the run's folder say. A group is added to (POST), never replaced: a task that fails has no
figures to tell, and those of its last success stay.

A gateway that is away, fails or never answers costs ``PUSH_TIMEOUT_S`` and a line in the log.
"""

import os
from collections.abc import Mapping, Sequence

from edgepress import telemetry
from edgepress.contracts.endpoint import holds_credentials
from edgepress.contracts.task_event import TaskEvent
from edgepress.observe.best_effort import BestEffort
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.telling import Figure

PUSHGATEWAY_VARIABLE = "EDGEPRESS_PUSHGATEWAY_URL"
PUSH_TIMEOUT_S = 2.0
"""A gateway in the same cluster answers within milliseconds."""


def push_metrics(identity: TaskIdentity, ended: TaskEvent, figures: Sequence[Figure]) -> str | None:
    """Push how a task ended and what it told, as ``push_figures`` does."""
    if not identity.pipeline:
        return None
    group = {telemetry.PIPELINE: identity.pipeline, telemetry.TASK: identity.task}
    if identity.recipe:
        group[telemetry.RECIPE] = identity.recipe
    return push_figures(telemetry.TASK_JOB, group, [*_about(ended), *figures])


def push_figures(job: str, group: Mapping[str, str], figures: Sequence[Figure]) -> str | None:
    """Add to a group of metrics, if there is a gateway (``EDGEPRESS_PUSHGATEWAY_URL``). Never raises, and takes ``PUSH_TIMEOUT_S`` at most.

    Args:
        job: the group's label ``job``.
        group: its other labels.
        figures: what is pushed.

    Returns:
        Why nothing may have been pushed, in one line; None when it was, or when there is no gateway. An address that holds a password is
        not used, and not repeated.
    """
    url = os.environ.get(PUSHGATEWAY_VARIABLE)
    if not url:
        return None
    if holds_credentials(url):
        return f"{PUSHGATEWAY_VARIABLE}: holds a name or a password, so nothing was pushed; write http://host:port"
    pushing = BestEffort("metrics push")
    pushing.submit(lambda: _push(url, job, group, figures))
    problem = pushing.finish(PUSH_TIMEOUT_S)
    return None if problem is None else f"{PUSHGATEWAY_VARIABLE}: the metrics could not be pushed ({problem})"


def _about(ended: TaskEvent) -> list[Figure]:
    return [
        Figure(telemetry.TASK_DURATION, ended.duration_s or 0.0, None),
        Figure(telemetry.TASK_SUCCEEDED, float(ended.state == "succeeded"), None),
        Figure(telemetry.TASK_LAST_COMPLETION, ended.unix_time_s, None),
    ]


def _push(url: str, job: str, group: Mapping[str, str], figures: Sequence[Figure]) -> None:
    from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway  # a task without a gateway does without

    registry = CollectorRegistry()
    by_metric: dict[telemetry.Metric, list[Figure]] = {}
    for figure in figures:
        by_metric.setdefault(figure.metric, []).append(figure)
    for metric, told in by_metric.items():
        labelled = any(figure.recipe for figure in told)
        gauge = Gauge(metric.name, metric.help, (telemetry.RECIPE,) if labelled else (), registry=registry)
        for figure in told:
            (gauge.labels(figure.recipe or "") if labelled else gauge).set(figure.value)
    pushadd_to_gateway(url, job, registry, dict(group), timeout=PUSH_TIMEOUT_S)
