"""The runs of one code and configuration, from Kubeflow Pipelines' API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.listing import every
from edgepress_pipelines.kubeflow.runs.record import state_of
from edgepress_pipelines.trigger.decision import KnownRun, RunState

FINGERPRINT_PARAMETER = "fingerprint"
LOOK_BACK = timedelta(days=14)
"""Runs created earlier are not looked at: none takes that long, and the listing would grow for ever."""

_STATES: dict[str, RunState] = {"SUCCEEDED": "succeeded", "SKIPPED": "succeeded", "FAILED": "failed", "CANCELED": "stopped"}
"""Of ``state_of``. All others, ``CANCELING`` too, have pods that may still write."""


def list_known_runs(connection: Connection, now: Fingerprint) -> list[KnownRun]:
    """Runs of every experiment that were started with this code and configuration, whatever their dataset, newest first.

    Args:
        connection: whose namespace has been settled by ``preflight.check_backend``.
        now: what a run would be computed from.

    Raises:
        KubeflowError: KFP cannot be asked, or refuses.
    """
    known = []
    for run in _newest_runs(connection):
        given = _fingerprint_of(run)
        if given is not None and (given.code, given.configuration) == (now.code, now.configuration):
            known.append(KnownRun(run.run_id, _STATES.get(state_of(run), "active"), given.dataset))
    return known


def _newest_runs(connection: Connection) -> Iterator[Any]:
    earliest = datetime.now(UTC) - LOOK_BACK
    listed = every(connection.runs.run_service_list_runs, "runs", namespace=connection.namespace, sort_by="created_at desc")
    for run in listed:
        if run.created_at is not None and run.created_at < earliest:
            return
        yield run


def _fingerprint_of(run: Any) -> Fingerprint | None:
    parameters = (run.runtime_config.parameters if run.runtime_config is not None else None) or {}
    text = parameters.get(FINGERPRINT_PARAMETER)
    return Fingerprint.from_parameter(text) if isinstance(text, str) else None
