"""The live display: the baseline's tasks, a grid of recipes by stages, and what follows, redrawn in place."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from edgepress.contracts.candidate import BASELINE
from edgepress.task import TaskEvent
from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.flow.plan import PlannedTask, TaskKey
from edgepress_pipelines.terminal.duration import format_duration
from edgepress_pipelines.terminal.foreign_text import harmless

State = Literal["waiting", "passes_through", "started", "succeeded", "cached", "gave_up", "failed"]

_FRAMES_PER_S = 8
_SHORT_NAMES = {"evaluate_test": "test"}
_MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "passes_through": ("-", "dim"),
    "succeeded": ("✓", "green"),
    "cached": ("reused", "cyan"),
    "gave_up": ("✗", "yellow"),
    "failed": ("✗", "bold red"),
}
_LABEL_WIDTH = 10
_STAGE_WIDTH = 8
"""A mark and a duration of minutes or hours. Names of recipes are cut before these are."""
_NARROWEST_NAME = 5
_GAP = 1
_LINES_AROUND_GRID = 12


@dataclass
class _Cell:
    """One task, or several of one name that are shown as one. A task that is tried again counts with its last attempt."""

    state: State = "waiting"
    began_s: float | None = None
    took_s: dict[str | None, float] = field(default_factory=dict)
    running: set[str | None] = field(default_factory=set)
    failed: set[str | None] = field(default_factory=set)

    def hear(self, event: TaskEvent) -> None:
        if event.state == "started":
            if not self.running:
                self.began_s = event.unix_time_s
            self.running.add(event.recipe)
            self.failed.discard(event.recipe)
            self.state = "started"
            return
        self.running.discard(event.recipe)
        self.failed.discard(event.recipe)
        if event.duration_s is not None:
            self.took_s[event.recipe] = event.duration_s
        if event.state == "failed":
            self.failed.add(event.recipe)
        if self.failed:
            self.state = "failed"
        elif self.running:
            self.state = "started"
        elif event.state == "cached":
            self.state = "cached"
        else:
            self.state = "gave_up" if event.message else "succeeded"

    def draw(self, spinner: Spinner, now_s: float) -> Text:
        if self.state == "started":
            glyph = spinner.render(time.monotonic())
            running_s = 0.0 if self.began_s is None else now_s - self.began_s
            return Text.assemble(glyph if isinstance(glyph, Text) else "*", (f" {_whole_seconds(running_s)}", "bold"))
        mark, style = _MARKS[self.state]
        took_s = sum(self.took_s.values())
        timed = self.state in ("succeeded", "gave_up", "failed") and took_s > 0
        return Text.assemble((mark, style), f" {format_duration(took_s)}" if timed else "")


class LiveDisplay(RunListener):
    """Redraws a run's state in place; notes and failures are printed above it and stay."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = harmless(title)
        self._run_id = ""
        self._began_s = time.time()
        self._lock = threading.Lock()
        self._before: dict[str, _Cell] = {}
        self._keys_before: set[TaskKey] = set()
        self._grid: dict[str, dict[str, _Cell]] = {}
        self._stages: list[str] = []
        self._after: dict[str, _Cell] = {}
        self._spinner = Spinner("dots", style="bold blue")
        self._live = Live(self, console=console, refresh_per_second=_FRAMES_PER_S)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def run_started(self, run_id: str, logs: str | None) -> None:
        with self._lock:
            self._run_id = run_id
        if logs is not None:
            self.note(f"logs: {logs}")

    def run_planned(self, tasks: Sequence[PlannedTask]) -> None:
        with self._lock:
            for planned in tasks:
                if planned.in_loop and planned.recipe is not None:
                    if planned.task not in self._stages:
                        self._stages.append(planned.task)
                    self._grid.setdefault(planned.recipe, {})[planned.task] = _Cell("waiting" if planned.applied else "passes_through")
                elif self._grid:
                    self._after.setdefault(planned.task, _Cell())
                else:
                    self._before.setdefault(planned.task, _Cell())
                    self._keys_before.add(planned.key)

    def task_event(self, event: TaskEvent) -> None:
        with self._lock:
            cell = self._cell(event)
            if event.state == "succeeded" and self._gave_up_before(event):
                cell.state = "passes_through"
            elif cell.state != "passes_through" or event.state == "failed":
                cell.hear(event)
        if event.state == "failed" or event.message:
            name = f"{event.recipe}: {event.task}" if event.recipe else event.task
            style = "bold red" if event.state == "failed" else "yellow"
            self._console.print(Text.assemble(("✗ ", style), harmless(f"{name}: {event.message or 'failed, see its log'}")))

    def note(self, text: str) -> None:
        self._console.print(Text(harmless(text), style="dim"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            yield self._draw(options.max_width, options.height or console.height)

    def _cell(self, event: TaskEvent) -> _Cell:
        """Where an event belongs: the grid, the baseline's tasks, or else what follows."""
        row = self._grid.get(event.recipe or "", {})
        if event.task in row:
            return row[event.task]
        if (event.task, event.recipe) in self._keys_before:
            return self._before[event.task]
        return self._after.setdefault(event.task, _Cell())

    def _gave_up_before(self, event: TaskEvent) -> bool:
        """Whether an earlier stage already gave a failed candidate, so that this one only passed it on."""
        row = self._grid.get(event.recipe or "", {})
        earlier = self._stages[: self._stages.index(event.task)] if event.task in row else []
        return any(row[stage].state == "gave_up" for stage in earlier if stage in row)

    def _draw(self, width: int, height: int) -> Group:
        now_s = time.time()
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        head.add_row(Text.assemble((self._title, "bold"), (f"  {self._run_id}", "dim")), _whole_seconds(now_s - self._began_s))
        parts: list[Table | Text] = [Text(), head]
        if self._before:
            parts += [Text(), *self._in_lines(BASELINE, self._before, width, now_s)]
        if self._grid:
            parts += [Text(), *self._draw_grid(width, height, now_s)]
        if self._after:
            parts += [Text(), *self._in_lines("gate", self._after, width, now_s)]
        return Group(*parts)

    def _draw_grid(self, width: int, height: int, now_s: float) -> Iterable[Table | Text]:
        table = Table(box=None, padding=(0, _GAP, 0, 0), expand=False, header_style="dim")
        stage_widths = [max(_STAGE_WIDTH, len(stage)) for stage in self._stages]
        room = width - sum(stage_width + _GAP for stage_width in stage_widths) - _GAP
        longest = max(len(recipe) for recipe in self._grid)
        table.add_column("recipe", no_wrap=True, overflow="ellipsis", width=max(_NARROWEST_NAME, min(max(longest, _LABEL_WIDTH), room)))
        for stage, stage_width in zip(self._stages, stage_widths, strict=True):
            table.add_column(stage, no_wrap=True, min_width=stage_width)
        shown = self._rows_that_fit(max(3, height - _LINES_AROUND_GRID))
        for recipe in shown:
            row = self._grid[recipe]
            table.add_row(
                Text(harmless(recipe)), *(row[stage].draw(self._spinner, now_s) if stage in row else Text() for stage in self._stages)
            )
        yield table
        hidden = [cells for recipe, cells in self._grid.items() if recipe not in shown]
        if hidden:
            done = sum(all(cell.state not in ("waiting", "started") for cell in cells.values()) for cells in hidden)
            counts = {"done": done, "waiting": len(hidden) - done}
            yield Text(f"not shown: {', '.join(f'{count} {word}' for word, count in counts.items() if count)}", style="dim")

    def _rows_that_fit(self, count: int) -> list[str]:
        """All recipes, or those that most deserve a line, in the order of the configuration: running, then waiting, then done."""
        if len(self._grid) <= count:
            return list(self._grid)

        def interest(recipe: str) -> int:
            states = [cell.state for cell in self._grid[recipe].values()]
            if "started" in states:
                return 0
            begun = any(state not in ("waiting", "passes_through") for state in states)
            return (1 if begun else 2) if "waiting" in states else 3

        chosen = set(sorted(self._grid, key=interest)[:count])
        return [recipe for recipe in self._grid if recipe in chosen]

    def _in_lines(self, label: str, cells: dict[str, _Cell], width: int, now_s: float) -> Iterable[Text]:
        """``label  task ✓ 1s  task ⠋ 3s``, wrapped under the first task where the width ends."""
        line = Text(f"{label:<{_LABEL_WIDTH}} ", style="dim")
        for task, cell in cells.items():
            part = Text.assemble(
                (f"{harmless(_SHORT_NAMES.get(task, task))} ", "dim" if cell.state == "waiting" else ""), cell.draw(self._spinner, now_s)
            )
            if line.cell_len + part.cell_len > width:
                yield line
                line = Text(" " * (_LABEL_WIDTH + 1))
            line = Text.assemble(line, part, "  ")
        yield line


def _whole_seconds(seconds: float) -> str:
    """A duration that is still growing: tenths would flicker."""
    return f"{max(0, int(seconds))}s" if seconds < 10 else format_duration(float(int(seconds)))
