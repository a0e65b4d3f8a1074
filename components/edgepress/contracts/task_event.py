"""What a task tells about itself while a run goes on: lines of a local run's ``events.jsonl``, objects of a cluster run's ``events/``."""

from typing import Literal

from edgepress.contracts.strict import StrictModel


class TaskEvent(StrictModel):
    """One thing that happened to a task.

    A task that is tried again tells its events anew: of one task's events, the one with the latest time says how it stands.

    Attributes:
        recipe: None for a task of the whole run.
        duration_s: of the task, in an event that ends it.
        message: why a task failed; with ``succeeded``, why its candidate did.
        exit_code: set for ``failed`` only.
    """

    task: str
    recipe: str | None
    state: Literal["started", "succeeded", "cached", "failed"]
    unix_time_s: float
    duration_s: float | None = None
    message: str | None = None
    exit_code: int | None = None


def task_file_name(task: str, recipe: str | None) -> str:
    """``<task>`` or ``<task>.<recipe>``: what a task's log and events are named after."""
    return f"{task}.{recipe}" if recipe else task
