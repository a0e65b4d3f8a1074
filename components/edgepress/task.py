"""What surrounds every step: its log file, its events, and a clear last line when it fails.

The engine that starts a task hands down ``EDGEPRESS_RUN_DIR`` in the environment. A step that finds it writes its whole output
(Python's and native libraries') to ``logs/<task>[.<recipe>].log`` there and appends to ``events.jsonl``, which is what the terminal's
display reads. Without the variable (by hand, or in a test) a step prints where its caller prints.
"""

import errno
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from edgepress.contracts.run import RunContext
from edgepress.contracts.strict import StrictModel
from edgepress.errors import EXIT_FAILED, EdgePressError

RUN_DIR_VARIABLE = "EDGEPRESS_RUN_DIR"
EVENTS_NAME = "events.jsonl"

_candidate_failure: ContextVar[str | None] = ContextVar("candidate_failure", default=None)
_run: ContextVar[RunContext | None] = ContextVar("run", default=None)

P = ParamSpec("P")
R = TypeVar("R")


class TaskEvent(StrictModel):
    """One line of ``events.jsonl``.

    ``message`` says why a task failed; with ``succeeded``, why its candidate did. ``exit_code`` is set for ``failed`` only.
    """

    task: str
    recipe: str | None
    state: Literal["started", "succeeded", "cached", "failed"]
    unix_time_s: float
    duration_s: float | None = None
    message: str | None = None
    exit_code: int | None = None


def task(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a step function as a task. Its keyword ``recipe``, when it has one, names the log and the events."""

    def decorate(step: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(step)
        def observed(*args: P.args, **kwargs: P.kwargs) -> R:
            run_dir = os.environ.get(RUN_DIR_VARIABLE)
            if run_dir is None:
                return step(*args, **kwargs)
            recipe = kwargs.get("recipe")
            with _observe(Path(run_dir), name, recipe if isinstance(recipe, str) else None):
                return step(*args, **kwargs)

        return observed

    return decorate


def enter_run(context: str) -> RunContext:
    """Tell this process which run its tasks belong to, from a component's parameter ``context`` (a RunContext as JSON)."""
    run = RunContext.model_validate_json(context)
    _run.set(run)
    return run


def tell_candidate_failed(reason: str) -> None:
    """Let the running task's last event say that it gave a failed candidate: the task succeeds, the run goes on, the user is told."""
    _candidate_failure.set(reason)


def describe_error(error: BaseException) -> tuple[str, int]:
    """One line for the user, and the exit code, for whatever a step raised."""
    if isinstance(error, EdgePressError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'the working directory'}: no space left on the disk; free some and run again", EXIT_FAILED
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", EXIT_FAILED
    return f"{type(error).__name__}: {' '.join(str(error).split())}", EXIT_FAILED


def append_event(run_dir: Path, event: TaskEvent) -> None:
    """Append one event. A single write to a file opened for appending, so tasks that run in parallel do not mix their lines."""
    line = json.dumps(event.model_dump(mode="json")) + "\n"
    descriptor = os.open(run_dir / EVENTS_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@contextmanager
def _observe(run_dir: Path, name: str, recipe: str | None) -> Iterator[None]:
    started = time.time()
    logs = run_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    append_event(run_dir, TaskEvent(task=name, recipe=recipe, state="started", unix_time_s=started))
    _candidate_failure.set(None)
    log_name = f"{name}.{recipe}.log" if recipe else f"{name}.log"
    with _output_into(logs / log_name):
        try:
            yield
        except BaseException as error:
            traceback.print_exc()
            message, exit_code = describe_error(error)
            now = time.time()
            append_event(
                run_dir,
                TaskEvent(
                    task=name,
                    recipe=recipe,
                    state="failed",
                    unix_time_s=now,
                    duration_s=now - started,
                    message=message,
                    exit_code=exit_code,
                ),
            )
            raise
    now = time.time()
    append_event(
        run_dir,
        TaskEvent(
            task=name,
            recipe=recipe,
            state="succeeded",
            unix_time_s=now,
            duration_s=now - started,
            message=_candidate_failure.get(),
        ),
    )


@contextmanager
def _output_into(path: Path) -> Iterator[None]:
    """Send file descriptors 1 and 2 to a file: native libraries write there too."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for opened in (*saved, descriptor):
            os.close(opened)
