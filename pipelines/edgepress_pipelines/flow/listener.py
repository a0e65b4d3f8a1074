"""Whoever wants to know how a run goes on, such as the terminal's display."""

from collections.abc import Sequence
from typing import Protocol

from edgepress.task import TaskEvent
from edgepress_pipelines.flow.plan import PlannedTask


class RunListener(Protocol):
    """What an engine tells about a run. Calls may come from any thread, one at a time for each task."""

    def run_started(self, run_id: str, logs: str | None) -> None:
        """The run has its identity; called once, first.

        Args:
            logs: where its logs are while it goes on, a folder or a command; None when nobody knows.
        """

    def run_planned(self, tasks: Sequence[PlannedTask]) -> None:
        """The run's tasks are known, in the order of the flow; called once, before the first event, unless they never are."""

    def task_event(self, event: TaskEvent) -> None:
        """A task changed its state. A succeeded one with a message yielded a failed candidate; the message is the reason."""

    def note(self, text: str) -> None:
        """One line worth knowing, e.g. where the store listens."""
