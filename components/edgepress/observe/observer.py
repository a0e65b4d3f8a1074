"""Observing one task from its beginning to its end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.run import RunContext
from edgepress.contracts.task_event import TaskEvent
from edgepress.errors import describe_error
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.metrics_push import push_metrics
from edgepress.observe.task_log import logging_of
from edgepress.observe.task_record import FolderRecord, StoreRecord, TaskRecord
from edgepress.observe.telling import Told, listening

RUN_DIR_VARIABLE = "EDGEPRESS_RUN_DIR"
"""Handed down by the local engine: the run's folder."""

RUN_ID_VARIABLE = "EDGEPRESS_RUN_ID"
"""Set in a cluster's pods: the run's identifier."""


@dataclass(frozen=True)
class Observation:
    """How a task is observed.

    Attributes:
        record: where its events and log are kept.
        json_log: whether EdgePress's own log lines are JSON.
    """

    identity: TaskIdentity
    record: TaskRecord
    json_log: bool


def plan_observation(task: str, recipe: str | None, run: RunContext | None) -> Observation | None:
    """How a task that starts now is observed; None when no engine started it (by hand, or in a test).

    Args:
        run: that the process has entered; None when it has not.
    """
    pipeline = run.name if run is not None else ""
    if run_dir := os.environ.get(RUN_DIR_VARIABLE):
        identity = TaskIdentity(task=task, recipe=recipe, pipeline=pipeline, run_id=Path(run_dir).name)
        return Observation(identity, FolderRecord(Path(run_dir), identity), json_log=False)
    if run_id := os.environ.get(RUN_ID_VARIABLE):
        identity = TaskIdentity(task=task, recipe=recipe, pipeline=pipeline, run_id=run_id)
        folder = run.folder(run_id) if run is not None and run.object_storage else ""
        return Observation(identity, StoreRecord(folder, identity), json_log=True)
    return None


@contextmanager
def observe(observation: Observation) -> Iterator[None]:
    """Keep the events and the output of the task within the context, log how it goes, and push its metrics at its end."""
    identity, record = observation.identity, observation.record
    started, clock_s = time.time(), time.monotonic()
    record.tell(TaskEvent(task=identity.task, recipe=identity.recipe, state="started", unix_time_s=started))
    ended: TaskEvent | None = None
    with logging_of(identity, as_json=observation.json_log) as logger:
        try:
            with record.output(), listening() as told:
                logger.info("started")
                try:
                    yield
                except BaseException as error:
                    ended = _failed(identity, error, time.monotonic() - clock_s)
                    fields = {"exit_code": ended.exit_code, "duration_s": ended.duration_s}
                    logger.exception("failed: %s", ended.message, extra=fields)
                    raise
                else:
                    ended = _succeeded(identity, told, time.monotonic() - clock_s)
                    logger.info("succeeded in %.1f s", ended.duration_s, extra={"duration_s": ended.duration_s})
                finally:
                    assert ended is not None
                    if (problem := push_metrics(identity, ended, told.figures)) is not None:
                        logger.warning(problem)
        finally:
            if ended is not None and (problem := record.end(ended)) is not None:
                logger.warning(problem)


def _succeeded(identity: TaskIdentity, told: Told, duration_s: float) -> TaskEvent:
    return TaskEvent(
        task=identity.task,
        recipe=identity.recipe,
        state="succeeded",
        unix_time_s=time.time(),
        duration_s=duration_s,
        message=told.candidate_failure,
    )


def _failed(identity: TaskIdentity, error: BaseException, duration_s: float) -> TaskEvent:
    message, exit_code = describe_error(error)
    return TaskEvent(
        task=identity.task,
        recipe=identity.recipe,
        state="failed",
        unix_time_s=time.time(),
        duration_s=duration_s,
        message=message,
        exit_code=exit_code,
    )
