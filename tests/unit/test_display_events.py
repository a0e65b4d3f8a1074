"""The displays, fed with the events of a run."""

import io
import threading
import time
from collections.abc import Sequence

import pytest
from rich.console import Console

from edgepress.contracts.stages import STAGES as PIPELINE_STAGES
from edgepress.task import TaskEvent
from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.flow.plan import PlannedTask
from edgepress_pipelines.terminal.display import choose_display
from edgepress_pipelines.terminal.duration import format_duration
from edgepress_pipelines.terminal.live_display import LiveDisplay
from edgepress_pipelines.terminal.plain_display import PlainDisplay

STAGES = ("prune", "quantize", "convert", "evaluate")


def plan(recipes: Sequence[str]) -> list[PlannedTask]:
    tasks = [PlannedTask("ingest", None), PlannedTask("train", "baseline"), PlannedTask("evaluate_test", "baseline")]
    tasks += [PlannedTask(stage, recipe, applied=stage != "quantize", in_loop=True) for recipe in recipes for stage in STAGES]
    return [*tasks, PlannedTask("benchmark", None), PlannedTask("evaluate_test", "nominee"), PlannedTask("release", None)]


def begin(display: RunListener, tasks: Sequence[PlannedTask], run_id: str = "run-1", logs: str = "/w/runs/run-1/logs") -> None:
    display.run_started(run_id, logs)
    display.run_planned(tasks)


def event(task: str, recipe: str | None, state: str, *, took_s: float | None = None, message: str | None = None) -> TaskEvent:
    return TaskEvent.model_validate(
        {"task": task, "recipe": recipe, "state": state, "unix_time_s": time.time(), "duration_s": took_s, "message": message}
    )


def console_of(stream: io.StringIO, *, terminal: bool, width: int = 80, height: int = 24) -> Console:
    return Console(
        file=stream, width=width, height=height, force_terminal=terminal, color_system=None, highlight=False, legacy_windows=False
    )


def frame(display: LiveDisplay, width: int = 80, height: int = 24) -> list[str]:
    """What the live display would draw now."""
    console = Console(width=width, height=height, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        console.print(display)
    return capture.get().splitlines()


def row(lines: list[str], label: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(label))


def tell(display: RunListener) -> None:
    begin(display, plan(["int8", "pruned"]))
    display.task_event(event("ingest", None, "started"))
    display.task_event(event("ingest", None, "succeeded", took_s=1.25))
    display.task_event(event("train", "baseline", "cached"))
    display.task_event(event("evaluate_test", "baseline", "started"))
    display.task_event(event("evaluate_test", "baseline", "succeeded", took_s=2.0))
    display.task_event(event("prune", "int8", "started"))
    display.task_event(event("prune", "int8", "succeeded", took_s=3.0, message="the loss became NaN"))
    display.task_event(event("quantize", "int8", "started"))
    display.task_event(event("quantize", "int8", "succeeded", took_s=0.1))
    display.task_event(event("convert", "int8", "started"))
    display.task_event(event("convert", "int8", "succeeded", took_s=0.1))
    display.task_event(event("prune", "pruned", "started"))
    display.task_event(event("benchmark", None, "started"))
    display.task_event(event("benchmark", None, "failed", took_s=61.0, message="no room on the disk"))
    display.task_event(event("evaluate_test", "nominee", "started"))


def test_plain_lines_say_each_event_once_and_leave_out_what_passes_through() -> None:
    stream = io.StringIO()
    with PlainDisplay(console_of(stream, terminal=False)) as display:
        tell(display)
        display.note("store at http://127.0.0.1:1 [a] " + "x" * 100)
    lines = [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines == [
        "run run-1; logs: /w/runs/run-1/logs",
        "12 tasks planned",
        "ingest started",
        "ingest done in 1.2s",
        "baseline: train reused from an earlier run",
        "baseline: evaluate_test started",
        "baseline: evaluate_test done in 2.0s",
        "int8: prune started",
        "int8: prune gave a failed candidate in 3.0s: the loss became NaN",
        "int8: convert started",
        "int8: convert done in 0.1s",
        "pruned: prune started",
        "benchmark started",
        "benchmark failed: no room on the disk",
        "nominee: evaluate_test started",
        "store at http://127.0.0.1:1 [a] " + "x" * 100,
    ]


def test_a_run_without_a_plan_is_named_alone() -> None:
    stream = io.StringIO()
    PlainDisplay(console_of(stream, terminal=False)).run_started("run-1", None)
    assert stream.getvalue().endswith("] run run-1\n")
    assert row(frame(LiveDisplay(console_of(stream, terminal=True), "EdgePress  demo")), "EdgePress")


def test_the_live_display_shows_the_state_of_each_task() -> None:
    stream = io.StringIO()
    display = LiveDisplay(console_of(stream, terminal=True), "EdgePress  demo")
    tell(display)
    lines = frame(display)
    assert row(lines, "EdgePress")[:3] == ["EdgePress", "demo", "run-1"]
    assert row(lines, "baseline") == ["baseline", "ingest", "✓", "1.2s", "train", "reused", "test", "✓", "2.0s"]
    assert row(lines, "recipe") == ["recipe", *STAGES]
    # The stage that gave up is marked; what came after it only passed the failed candidate on.
    assert row(lines, "int8") == ["int8", "✗", "3.0s", "-", "-", "·"]
    running = row(lines, "pruned")
    assert running[2:] == ["0s", "-", "·", "·"]
    gate = row(lines, "gate")
    assert gate[:5] == ["gate", "benchmark", "✗", "1m", "01s"]
    assert gate[5] == "test"
    assert gate[7:] == ["0s", "release", "·"]
    printed = stream.getvalue()
    assert "benchmark: no room on the disk" in printed
    assert "int8: prune: the loss became NaN" in printed


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_what_others_named_rules_no_terminal(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    console = console_of(stream, terminal=kind is LiveDisplay)
    unwelcome = "[/b]\x1b]0;title\x07\x9b2J\nx"
    display = LiveDisplay(console, unwelcome) if kind is LiveDisplay else PlainDisplay(console)
    begin(display, plan([unwelcome]))
    display.task_event(event("train", unwelcome, "failed", message=unwelcome))
    display.task_event(event(unwelcome, None, "started"))
    display.note(unwelcome)
    console.print(display) if isinstance(display, LiveDisplay) else None
    assert "[/b]]0;title2J x" in stream.getvalue()
    assert not set("\x1b\x07\x9b") & set(stream.getvalue())


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (120, 24), (60, 20)])
def test_twenty_recipes_fit_the_screen(width: int, height: int) -> None:
    display = LiveDisplay(console_of(io.StringIO(), terminal=True), "EdgePress  demo")
    recipes = [f"recipe-with-a-long-name-{index}" for index in range(20)]
    begin(display, plan(recipes), "20261124-050233-ab12")
    for recipe in recipes[:12]:
        for stage in STAGES:
            display.task_event(event(stage, recipe, "succeeded", took_s=4000.0))
    display.task_event(event("prune", recipes[19], "started"))
    lines = frame(display, width, height)
    assert len(lines) < height - 1
    assert max(map(len, lines)) <= width
    shown = [line for line in lines if line.startswith("recipe-")]
    assert any("0s" in line for line in shown), "the running recipe is always shown"
    hidden = len(recipes) - len(shown)
    if hidden:
        summary = next(line for line in lines if line.startswith("not shown: "))
        assert sum(int(word) for word in summary.split() if word.isdecimal()) == hidden
        assert " 0 " not in summary


@pytest.mark.parametrize("width", [60, 80])
def test_long_names_are_cut_before_the_stages_are(width: int) -> None:
    display = LiveDisplay(console_of(io.StringIO(), terminal=True), "EdgePress  demo")
    stages = (*PIPELINE_STAGES, "evaluate")
    begin(display, [PlannedTask(stage, "pruned50-clustered16-int8-with-more", in_loop=True) for stage in stages])
    for stage in stages:
        display.task_event(event(stage, "pruned50-clustered16-int8-with-more", "succeeded", took_s=4000.0))
    lines = frame(display, width)
    assert row(lines, "reci")[1:] == list(stages)
    assert row(lines, "prun")[1:] == ["✓", "1h", "06m"] * len(stages)


def test_plain_lines_break_a_long_silence_with_what_is_running() -> None:
    stream = io.StringIO()
    with PlainDisplay(console_of(stream, terminal=False), longest_silence_s=0.01) as display:
        display.task_event(event("train", "baseline", "started"))
        deadline_s = time.monotonic() + 60.0
        while "still running: baseline: train (" not in stream.getvalue() and time.monotonic() < deadline_s:
            time.sleep(0.005)
        display.task_event(event("train", "baseline", "succeeded"))
        length = len(stream.getvalue())
        while "the run goes on" not in stream.getvalue()[length:] and time.monotonic() < deadline_s:
            time.sleep(0.005)
    assert "still running: baseline: train (" in stream.getvalue()
    assert "the run goes on" in stream.getvalue()[length:]
    assert "display" not in {thread.name for thread in threading.enumerate()}


def test_events_from_several_threads_lose_nothing() -> None:
    display = LiveDisplay(console_of(io.StringIO(), terminal=True), "EdgePress  demo")
    recipes = [f"r{index}" for index in range(8)]
    begin(display, plan(recipes))

    def work(recipe: str) -> None:
        for stage in STAGES:
            display.task_event(event(stage, recipe, "started"))
            frame(display)
            display.task_event(event(stage, recipe, "succeeded", took_s=1.0))

    threads = [threading.Thread(target=work, args=(recipe,)) for recipe in recipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = frame(display, height=50)
    assert [row(lines, recipe) for recipe in recipes] == [[recipe, "✓", "1.0s", "-", "✓", "1.0s", "✓", "1.0s"] for recipe in recipes]


def interrupt(display: LiveDisplay) -> None:
    with display:
        tell(display)
        raise KeyboardInterrupt


def test_the_live_display_leaves_the_terminal_as_it_was() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        interrupt(LiveDisplay(console_of(stream, terminal=True), "EdgePress  demo"))
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.parametrize(
    ("terminal", "plain", "environment", "kind"),
    [
        (True, False, {}, LiveDisplay),
        (True, True, {}, PlainDisplay),
        (False, False, {}, PlainDisplay),
        (True, False, {"NO_COLOR": "1"}, PlainDisplay),
        (True, False, {"TERM": "dumb"}, PlainDisplay),
    ],
)
def test_the_display_fits_the_terminal(
    terminal: bool, plain: bool, environment: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert type(choose_display(console_of(io.StringIO(), terminal=terminal), "demo", plain=plain)) is kind


def test_no_live_display_without_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=ascii_stream, force_terminal=True)
    assert isinstance(choose_display(console, "demo", plain=False), PlainDisplay)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (65, "1m 05s"),
        (3599.7, "1h 00m"),
        (7380, "2h 03m"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_task_that_is_tried_again_shows_its_last_attempt() -> None:
    display = LiveDisplay(console_of(io.StringIO(), terminal=True), "EdgePress  demo")
    begin(display, plan(["int8"]))
    for state, took_s, shown in (
        ("started", None, ["0s"]),
        ("failed", 5.0, ["✗", "5.0s"]),
        ("started", None, ["0s"]),
        ("succeeded", 7.0, ["✓", "7.0s"]),
    ):
        display.task_event(event("train", "baseline", state, took_s=took_s, message="the store is away" if state == "failed" else None))
        cells = row(frame(display), "baseline")
        told = cells[cells.index("train") + 1 : cells.index("test")]
        assert told[-len(shown) :] == shown


def test_tasks_that_are_shown_as_one_hide_no_failure_of_another() -> None:
    display = LiveDisplay(console_of(io.StringIO(), terminal=True), "EdgePress  demo")
    begin(display, plan(["int8"]))
    for recipe, state in (("a", "started"), ("b", "started"), ("a", "failed"), ("b", "failed"), ("b", "started"), ("b", "succeeded")):
        display.task_event(event("extra", recipe, state, took_s=1.0))
    cells = row(frame(display), "gate")
    assert cells[cells.index("extra") + 1] == "✗"
