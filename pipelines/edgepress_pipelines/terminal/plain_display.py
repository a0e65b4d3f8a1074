"""The plain display: a line for each thing that happens."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console

from edgepress.task import TaskEvent
from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.flow.plan import PlannedTask, TaskKey
from edgepress_pipelines.terminal.duration import format_duration
from edgepress_pipelines.terminal.foreign_text import harmless


class PlainDisplay(RunListener):
    """One line an event, with the time since the run began: for logs, pipes and dumb terminals. Plain ASCII but for what others wrote.

    Args:
        console: where the lines go.
        longest_silence_s: after it a line tells what is running, from entering the display to leaving it.
    """

    def __init__(self, console: Console, longest_silence_s: float = 120.0) -> None:
        self._console = console
        self._longest_silence_s = longest_silence_s
        self._began_s = self._spoke_s = time.monotonic()
        self._passing_through: set[TaskKey] = set()
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()
        self._has_ended = threading.Event()
        self._reminder = threading.Thread(target=self._break_silence, name="display", daemon=True)

    def __enter__(self) -> Self:
        self._reminder.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._has_ended.set()
        self._reminder.join()

    def run_started(self, run_id: str, logs: str | None) -> None:
        self._line(f"run {run_id}{f'; logs: {logs}' if logs else ''}")

    def run_planned(self, tasks: Sequence[PlannedTask]) -> None:
        self._passing_through = {planned.key for planned in tasks if not planned.applied}
        self._line(f"{len(tasks) - len(self._passing_through)} tasks planned")

    def task_event(self, event: TaskEvent) -> None:
        passes_through = (event.task, event.recipe) in self._passing_through
        if passes_through and event.state != "failed":
            return
        name = f"{event.recipe}: {event.task}" if event.recipe else event.task
        with self._lock:
            self._running.pop(name, None)
            if event.state == "started":
                self._running[name] = time.monotonic()
        match event.state:
            case "started":
                self._line(f"{name} started")
            case "succeeded":
                took = f" in {format_duration(event.duration_s)}" if event.duration_s is not None else ""
                self._line(f"{name} gave a failed candidate{took}: {event.message}" if event.message else f"{name} done{took}")
            case "cached":
                self._line(f"{name} reused from an earlier run")
            case "failed":
                self._line(f"{name} failed: {event.message or 'see its log'}")

    def note(self, text: str) -> None:
        self._line(text)

    def _break_silence(self) -> None:
        while not self._has_ended.wait(max(0.0, self._spoke_s + self._longest_silence_s - time.monotonic())):
            now_s = time.monotonic()
            if now_s - self._spoke_s < self._longest_silence_s:
                continue
            with self._lock:
                running = [f"{name} ({format_duration(now_s - began_s)})" for name, began_s in self._running.items()]
            self._line(f"still running: {', '.join(running)}" if running else "the run goes on")

    def _line(self, text: str) -> None:
        self._spoke_s = time.monotonic()
        self._console.print(f"[{time.monotonic() - self._began_s:7.1f} s] {harmless(text)}", markup=False, highlight=False, soft_wrap=True)
