"""The runs of one fingerprint, from Kubeflow Pipelines' API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from kfp_server_api import RunServiceApi

from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.kubeflow.trigger_decision import KnownRun, RunState

FINGERPRINT_PARAMETER = "fingerprint"
RUNS_PER_PAGE = 100
LOOK_BACK = timedelta(days=14)
"""Runs created earlier are not looked at: none takes that long, and the listing would grow for ever."""

_STATES: dict[str, RunState] = {"SUCCEEDED": "succeeded", "SKIPPED": "succeeded", "FAILED": "failed", "CANCELED": "stopped"}
"""Of ``v2beta1.RuntimeState``. All others, ``CANCELING`` too, have pods that may still write."""


def list_known_runs(runs: RunServiceApi, fingerprint: Fingerprint, *, experiment_id: str | None, namespace: str | None) -> list[KnownRun]:
    """Runs that were started with this fingerprint, newest first.

    Args:
        runs: KFP's service of runs; whatever it raises goes through.
        experiment_id: None lists those of every experiment.
        namespace: of the user's profile, where KFP serves many users.
    """
    return [
        KnownRun(run.run_id, _STATES.get(run.state or "", "active"))
        for run in _newest_runs(runs, experiment_id, namespace)
        if _fingerprint_of(run) == fingerprint
    ]


def _newest_runs(runs: RunServiceApi, experiment_id: str | None, namespace: str | None) -> Iterator[Any]:
    earliest = datetime.now(UTC) - LOOK_BACK
    scope = {"experiment_id": experiment_id} if experiment_id is not None else {"namespace": namespace} if namespace is not None else {}
    page_token = ""
    while True:
        page = runs.run_service_list_runs(page_token=page_token, page_size=RUNS_PER_PAGE, sort_by="created_at desc", **scope)
        for run in page.runs or ():
            if run.created_at is not None and run.created_at < earliest:
                return
            yield run
        page_token = page.next_page_token or ""
        if not page_token:
            return


def _fingerprint_of(run: Any) -> Fingerprint | None:
    parameters = (run.runtime_config.parameters if run.runtime_config is not None else None) or {}
    text = parameters.get(FINGERPRINT_PARAMETER)
    return Fingerprint.from_parameter(text) if isinstance(text, str) else None
