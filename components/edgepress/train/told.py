"""What a training tells about the model that it gave."""

from collections.abc import Mapping

from pydantic import JsonValue

from edgepress.task import tell_figure
from edgepress.tasks.task import LearningTask
from edgepress.telemetry import TASK_VALIDATION


def tell_validation(task: LearningTask, facts: Mapping[str, JsonValue]) -> None:
    """Tell the metric that selects, as it is on validation data by the facts of a record."""
    selecting = task.selecting.name
    value = facts[f"val_{selecting}"]
    if isinstance(value, float):
        tell_figure(TASK_VALIDATION[selecting], value)
