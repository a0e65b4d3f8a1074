"""What a step tells about itself while it runs: figures for its metrics, and that its candidate failed."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from edgepress.telemetry import Metric

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """One value of one metric; ``recipe`` is set where a task of the whole run tells of a recipe."""

    metric: Metric
    value: float
    recipe: str | None


@dataclass
class Told:
    """What a task has told so far."""

    figures: list[Figure] = field(default_factory=list)
    candidate_failure: str | None = None


_told: ContextVar[Told | None] = ContextVar("told", default=None)


def tell_figure(metric: Metric, value: float, *, recipe: str | None = None) -> None:
    """Give the running task's metrics a value. They are pushed when the task ends; outside of a run nobody listens.

    Args:
        metric: of ``edgepress.telemetry``, among those that tasks export.
        value: in the metric's unit. One that is not finite is not told.
        recipe: that the value is about, in a task of the whole run.

    Raises:
        ValueError: tasks do not export this metric.
    """
    if "task" not in metric.exporters:
        raise ValueError(f"{metric.name} is exported by {', '.join(metric.exporters)}, not by a task")
    told = _told.get()
    if told is None or not math.isfinite(value):
        return
    told.figures.append(Figure(metric, value, recipe))
    of_recipe = f" of {recipe}" if recipe else ""
    logger.info("%s%s: %.6g", metric.name, of_recipe, value, extra={"metric": metric.name, "value": value, "of": recipe})


def tell_candidate_failed(reason: str) -> None:
    """Let the running task's last event say that it gave a failed candidate: the task succeeds, the run goes on, the user is told."""
    told = _told.get()
    if told is None:
        return
    told.candidate_failure = reason
    logger.warning("the candidate failed: %s", reason, extra={"reason": reason})


@contextmanager
def listening() -> Iterator[Told]:
    """Collect what is told within the context."""
    told = Told()
    token = _told.set(told)
    try:
        yield told
    finally:
        _told.reset(token)
