"""What a step sees of the run that it is a task of: it is declared a task, and it tells what is worth knowing.

The engine that starts a task says so in the environment. The local one hands down ``EDGEPRESS_RUN_DIR``: the step's whole output goes to
``logs/`` there and its events to ``events.jsonl``, which the terminal's display reads. A cluster's pod has ``EDGEPRESS_RUN_ID``: output
goes on to the pod's log, and log and events also to the run's folder in the object store. Without either (by hand, or in a test) a step
prints where its caller prints. ``edgepress.observe`` does it all.
"""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from edgepress.contracts.run import RunContext
from edgepress.contracts.task_event import TaskEvent
from edgepress.errors import describe_error
from edgepress.observe.observer import RUN_DIR_VARIABLE, RUN_ID_VARIABLE, observe, plan_observation
from edgepress.observe.task_record import EVENTS_NAME
from edgepress.observe.telling import tell_candidate_failed, tell_figure

__all__ = [
    "EVENTS_NAME",
    "RUN_DIR_VARIABLE",
    "RUN_ID_VARIABLE",
    "TaskEvent",
    "describe_error",
    "enter_run",
    "task",
    "tell_candidate_failed",
    "tell_figure",
]

_run: ContextVar[RunContext | None] = ContextVar("run", default=None)

P = ParamSpec("P")
R = TypeVar("R")


def task(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a step function as a task. Its keyword ``recipe``, when it has one, names the log and the events."""

    def decorate(step: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(step)
        def observed(*args: P.args, **kwargs: P.kwargs) -> R:
            recipe = kwargs.get("recipe")
            observation = plan_observation(name, recipe if isinstance(recipe, str) else None, _run.get())
            if observation is None:
                return step(*args, **kwargs)
            with observe(observation):
                return step(*args, **kwargs)

        return observed

    return decorate


def enter_run(context: str) -> RunContext:
    """Tell this process which run its tasks belong to, from a component's parameter ``context`` (a RunContext as JSON)."""
    run = RunContext.model_validate_json(context)
    _run.set(run)
    return run
