"""A run of EdgePress as KFP knows it: its state, and what its parameters say about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from edgepress.contracts.run import RunContext
from edgepress.errors import InputError
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.listing import every, named

State = Literal["PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED"]
ENDED = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
"""States that a run stays in. ``kfp.Client.wait_for_run_completion`` does not know the last one and would wait for ever."""

_RUN_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True)
class RunRecord:
    """A run in KFP.

    Attributes:
        run_id: KFP's identifier, also the name of the run's folder.
        name: how KFP lists it.
        state: see ``state_of``.
        created_at: when it was asked for.
        finished_at: None while it goes on.
        failed_tasks: KFP's names for tasks that failed, and for groups of them; it does not say why any did.
        pipeline: the configuration's name; empty when the parameters do not tell.
        storage_uri: where the run's folder is; None when the parameters do not tell.
        parameters: that it was started with.
        pipeline_spec: the pipeline that it runs, as plain data; None where it is known by its version alone.
        version: identifiers of the pipeline and its version; None when KFP does not tell.
    """

    run_id: str
    name: str
    state: State
    created_at: datetime | None
    finished_at: datetime | None
    failed_tasks: frozenset[str]
    pipeline: str
    storage_uri: str | None
    parameters: Mapping[str, Any]
    pipeline_spec: Mapping[str, Any] | None
    version: tuple[str, str] | None

    @property
    def has_ended(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ENDED


def read_run(connection: Connection, run: str) -> RunRecord:
    """A run by its identifier or its name; the newest, when a name was given more than once.

    Raises:
        InputError: there is none.
        KubeflowError: KFP cannot be asked, or refuses.
    """
    if _RUN_ID.match(run):
        return record_of(connection.runs.run_service_get_run(run))
    ask = connection.runs.run_service_list_runs
    found = next(every(ask, "runs", filter=named(run), namespace=connection.namespace, sort_by="created_at desc"), None)
    if found is None:
        raise InputError(f"{connection.host}: there is no run {run!r}; `edgepress runs list` shows what there is")
    return record_of(found)


def read_pipeline(connection: Connection, run: RunRecord) -> Mapping[str, Any] | None:
    """The pipeline that a run runs, a KFP ``PipelineSpec`` as plain data; None when KFP does not tell which it is.

    Raises:
        KubeflowError: KFP cannot be asked, or refuses, e.g. because the version has been deleted.
    """
    spec = run.pipeline_spec
    if spec is None and run.version is not None:
        spec = connection.pipelines.pipeline_service_get_pipeline_version(*run.version).pipeline_spec
    # Beside what pods get, which KFP calls the platform's, the pipeline itself is one level further down.
    return None if spec is None else spec.get("pipeline_spec", spec)


def record_of(run: Any) -> RunRecord:
    """Read KFP's answer about a run.

    Args:
        run: a ``V2beta1Run``.
    """
    parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
    context = _context(parameters.get("context"))
    finished = run.finished_at if run.finished_at is not None and run.finished_at.timestamp() > 0 else None  # 1970 stands for "not yet"
    reference = run.pipeline_version_reference
    return RunRecord(
        run_id=run.run_id,
        name=run.display_name or "",
        state=state_of(run),
        created_at=run.created_at,
        finished_at=finished,
        failed_tasks=_failed_tasks(run),
        pipeline=context.name,
        storage_uri=context.storage or None,
        parameters=parameters,
        pipeline_spec=run.pipeline_spec or None,
        version=(reference.pipeline_id, reference.pipeline_version_id) if reference is not None else None,
    )


def state_of(run: Any) -> State:
    """A run's state in KFP's words, PENDING until it has one, and CANCELED where KFP says FAILED of a run that somebody stopped.

    KFP translates the phase of the run's Workflow, and Argo's phase of a Workflow that was terminated is Failed. That it was CANCELING
    before, the run's history says, whose entries may lack their state.

    Args:
        run: a ``V2beta1Run``.
    """
    if run.state in (None, "RUNTIME_STATE_UNSPECIFIED"):
        return "PENDING"
    if run.state == "FAILED" and any(entry.state == "CANCELING" for entry in run.state_history or ()):
        return "CANCELED"
    state: State = run.state
    return state


def _context(text: object) -> RunContext:
    try:
        return RunContext.model_validate_json(text) if isinstance(text, str) and text else RunContext()
    except ValidationError:
        return RunContext()  # another release wrote it: the run can still be listed


def _failed_tasks(run: Any) -> frozenset[str]:
    """The field ``error`` is left out: KFP never fills it, neither a run's nor a task's, not after OOMKilled either."""
    nodes = (run.run_details.task_details if run.run_details else None) or ()
    return frozenset(node.display_name for node in nodes if node.state == "FAILED" and node.display_name)
