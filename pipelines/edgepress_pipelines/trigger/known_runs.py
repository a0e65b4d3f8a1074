"""The runs of one code and configuration, from Kubeflow Pipelines' API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.listing import every
from edgepress_pipelines.kubeflow.runs.record import state_of
from edgepress_pipelines.trigger.decision import KnownRun, RunState
from edgepress_pipelines.trigger.sign_of_life import life_of

FINGERPRINT_PARAMETER = "fingerprint"
LOOK_BACK = timedelta(days=14)
"""Runs created earlier are not looked at: none takes that long, and the listing would grow for ever."""

_STATES: dict[str, RunState] = {"SUCCEEDED": "succeeded", "SKIPPED": "succeeded", "FAILED": "failed", "CANCELED": "stopped"}
"""Of ``state_of``. All others, ``CANCELING`` too, have pods that may still write."""


def list_known_runs(connection: Connection, now: Fingerprint, longest: timedelta, at: datetime | None = None) -> list[KnownRun]:
    """Runs of every experiment that were started with this code and configuration, whatever their dataset, newest first.

    Args:
        connection: whose namespace has been settled by ``preflight.check_backend``.
        now: what a run would be computed from.
        longest: that a pod of such a run may take, see ``sign_of_life``; of the same code, the runs found have the same.
        at: the time that it is now; None asks the clock.

    Raises:
        KubeflowError: KFP cannot be asked, or refuses.
        StorageError: a run has long been silent, and its folder cannot be read.
    """
    known = []
    at = at or datetime.now(UTC)
    for run in _newest_runs(connection, at - LOOK_BACK):
        given = _fingerprint_of(run)
        if given is not None and (given.code, given.configuration) == (now.code, now.configuration):
            known.append(KnownRun(run.run_id, _STATES.get(state_of(run)) or _in_progress(run, longest, at), given.dataset))
    return known


def _in_progress(run: Any, longest: timedelta, at: datetime) -> RunState:
    life = life_of(run, longest, at)
    return "failed" if life == "lost" else life


def _newest_runs(connection: Connection, earliest: datetime) -> Iterator[Any]:
    listed = every(connection.runs.run_service_list_runs, "runs", namespace=connection.namespace, sort_by="created_at desc")
    for run in listed:
        if run.created_at is not None and run.created_at < earliest:
            return
        yield run


def _fingerprint_of(run: Any) -> Fingerprint | None:
    parameters = (run.runtime_config.parameters if run.runtime_config is not None else None) or {}
    text = parameters.get(FINGERPRINT_PARAMETER)
    return Fingerprint.from_parameter(text) if isinstance(text, str) else None
