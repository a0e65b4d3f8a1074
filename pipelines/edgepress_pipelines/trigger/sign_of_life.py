"""Whether a run that Kubeflow holds for one in progress still can be.

KFP reads how a run stands from its Workflow. A run whose Workflow is gone, deleted or lost with its cluster, stays PENDING, RUNNING or
CANCELING for ever. What tells it from one that lives is silence, in KFP's answers and in the run's own folder: a run that lives has a task
in a pod or waits for one. A pod is ended after its ``timeout_s``, and ``UNSCHEDULED_S`` is how long pods are allowed to wait for a node.

So no run lives that has been silent for longer than both together. One that has been silent for longer than any pod may run can only be
waiting for a node; whether it is, nobody can say from here, so starting beside it is left to a person.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress_pipelines.kubeflow.pod_settings import UNSCHEDULED_S
from edgepress_pipelines.kubeflow.runs.folder import RunFolder
from edgepress_pipelines.kubeflow.runs.record import record_of

REPORTING = timedelta(hours=1)
"""Ample for a pod to begin and end around its task, for KFP to learn of it, and for clocks that differ."""

Life = Literal["active", "silent", "lost"]


def longest_attempt(settings: KubeflowSettings) -> timedelta:
    """The longest that one pod of a run may take that was compiled with these settings."""
    return timedelta(seconds=max(each.timeout_s for each in (settings.trainer, settings.evaluator, settings.releaser)))


def life_of(run: Any, longest: timedelta, at: datetime) -> Life:
    """How a run that has not ended stands: ``silent`` for longer than any of its pods may run, or ``lost`` beyond that, or neither.

    Args:
        run: a ``V2beta1Run`` that has not ended.
        longest: of its pods' timeouts.
        at: the time that it is now.

    Raises:
        StorageError: KFP has nothing new of the run, and its folder cannot be read.
    """
    limit = longest + REPORTING
    latest = max(_times_in_kubeflow(run), default=at)
    if at - latest > limit:
        latest = max([latest, *_times_in_folder(run)])
    silence = at - latest
    if silence > limit + timedelta(seconds=UNSCHEDULED_S):
        return "lost"
    return "silent" if silence > limit else "active"


def _times_in_kubeflow(run: Any) -> Iterator[datetime]:
    """When KFP learned anything of a run or of a node of its Workflow; of what has not happened it says the year 1 or 1970."""
    nodes = (run.run_details.task_details if run.run_details else None) or ()
    for node in nodes:
        yield from filter(None, (node.create_time, node.start_time, node.end_time))
    for holder in (run, *nodes):
        yield from (entry.update_time for entry in holder.state_history or () if entry.update_time is not None)
    yield from filter(None, (run.created_at,))


def _times_in_folder(run: Any) -> Iterator[datetime]:
    """When its tasks told anything."""
    record = record_of(run)
    if record.storage_uri is not None:
        for event in RunFolder(record.storage_uri, record.run_id).new_events(lambda _: None):
            yield datetime.fromtimestamp(event.unix_time_s, UTC)
