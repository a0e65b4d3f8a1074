"""The paths of KFP's API v2beta1, and what each does to the state."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

from tests.kfp_api.lists import page
from tests.kfp_api.messages import ApiError, written
from tests.kfp_api.state import State

_EXPERIMENT_KEYS = frozenset({"experiment_id", "display_name", "created_at", "last_run_created_at", "description", "namespace"})
_PIPELINE_KEYS = frozenset({"pipeline_id", "name", "display_name", "created_at", "description", "namespace"})
_VERSION_KEYS = frozenset({"pipeline_version_id", "name", "display_name", "created_at", "description"})
_RUN_KEYS = frozenset(
    {"run_id", "display_name", "created_at", "finished_at", "description", "state", "experiment_id", "recurring_run_id", "namespace"}
)
_RECURRING_RUN_KEYS = frozenset({"recurring_run_id", "display_name", "created_at", "updated_at", "description"})
_RUN_FIELDS_LEFT_OUT = ("namespace",)


@dataclass(frozen=True)
class Request:
    """A request that has been let in.

    Attributes:
        body: decoded JSON, or an uploaded file's content.
        namespaces: those that the caller may use; None for all.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    namespaces: frozenset[str] | None


def answer(state: State, request: Request) -> dict[str, Any]:
    """Do what a request asks for.

    Raises:
        ApiError: it cannot be done.
    """
    with state.lock:
        for method, pattern, act in _ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                return act(state, request, *found.groups())
    raise ApiError(404, "Not Found")


def uploaded_file(content_type: str, content: bytes) -> bytes:
    """The part ``uploadfile`` of a multipart form."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + content)
    for part in message.walk():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            if not str(part.get_filename()).endswith((".yaml", ".yml", ".zip", ".tar.gz")):
                break
            loaded = part.get_payload(decode=True)
            assert isinstance(loaded, bytes)
            return loaded
    raise ApiError(400, "Failed to read pipeline from file")


def _allow(request: Request, namespace: str) -> None:
    if request.namespaces is not None and namespace and namespace not in request.namespaces:
        raise ApiError(403, f"User is not authorized with reason: not allowed in namespace {namespace}")


def _create_experiment(state: State, request: Request) -> dict[str, Any]:
    _allow(request, (request.body or {}).get("namespace", ""))
    return written(state.create_experiment(request.body))


def _list_experiments(state: State, request: Request) -> dict[str, Any]:
    items = _of_namespace(state, request, state.experiments)
    return page([written(item) for item in items], request.query, _EXPERIMENT_KEYS, "experiments")


def _create_pipeline(state: State, request: Request) -> dict[str, Any]:
    _allow(request, (request.body or {}).get("namespace", ""))
    return written(state.create_pipeline(request.body))


def _list_pipelines(state: State, request: Request) -> dict[str, Any]:
    items = _of_namespace(state, request, state.pipelines)
    return page([written(item) for item in items], request.query, _PIPELINE_KEYS, "pipelines")


def _upload_pipeline(state: State, request: Request) -> dict[str, Any]:
    name = request.query.get("name") or request.query.get("display_name") or "pipeline.yaml"
    body = {key: request.query[key] for key in ("namespace", "description") if key in request.query}
    pipeline = state.create_pipeline(body | {"display_name": name})
    try:
        state.create_version(pipeline["pipeline_id"], name, body.get("description", ""), request.body)
    except ApiError:
        del state.pipelines[pipeline["pipeline_id"]]
        raise
    return written(pipeline)


def _upload_version(state: State, request: Request) -> dict[str, Any]:
    pipeline_id, name = request.query.get("pipelineid", ""), request.query.get("name", "")
    pipeline = state.pipelines.get(pipeline_id)
    if pipeline is not None and request.namespaces is not None and pipeline["namespace"] not in request.namespaces:
        raise ApiError(400, "Failed to create a pipeline version")  # the upload endpoint does not say 403
    return written(state.create_version(pipeline_id, name, request.query.get("description", ""), request.body))


def _list_versions(state: State, request: Request, pipeline_id: str) -> dict[str, Any]:
    state.get(state.pipelines, pipeline_id, "pipeline")
    items = [version for version in state.versions.values() if version["pipeline_id"] == pipeline_id]
    return page([written(item) for item in items], request.query, _VERSION_KEYS, "pipeline_versions")


def _get_version(state: State, request: Request, pipeline_id: str, version_id: str) -> dict[str, Any]:
    _allow(request, state.get(state.pipelines, pipeline_id, "pipeline")["namespace"])
    return written(state.get(state.versions, version_id, "pipeline version"))


def _create_run(state: State, request: Request) -> dict[str, Any]:
    _allow_experiment(state, request)
    return _run(state.create_run(request.body))


def _get_run(state: State, request: Request, run_id: str) -> dict[str, Any]:
    run = state.get(state.runs, run_id, "run")
    _allow(request, run["namespace"])
    return _run(run)


def _list_runs(state: State, request: Request) -> dict[str, Any]:
    items = _of_experiment_or_namespace(state, request, state.runs)
    return page([_run(item) for item in items], request.query, _RUN_KEYS, "runs")


def _terminate(state: State, request: Request, run_id: str) -> dict[str, Any]:
    state.terminate(run_id)
    return {}


def _create_recurring_run(state: State, request: Request) -> dict[str, Any]:
    _allow_experiment(state, request)
    return written(state.create_recurring_run(request.body))


def _get_recurring_run(state: State, request: Request, recurring_run_id: str) -> dict[str, Any]:
    return written(state.get(state.recurring_runs, recurring_run_id, "recurring run"))


def _list_recurring_runs(state: State, request: Request) -> dict[str, Any]:
    items = _of_experiment_or_namespace(state, request, state.recurring_runs)
    return page([written(item) for item in items], request.query, _RECURRING_RUN_KEYS, "recurringRuns")  # so the proto spells it


def _switch(state: State, request: Request, recurring_run_id: str, word: str) -> dict[str, Any]:
    state.switch(recurring_run_id, word == "enable")
    return {}


def _delete_recurring_run(state: State, request: Request, recurring_run_id: str) -> dict[str, Any]:
    unspecified = "DELETE_PROPAGATION_POLICY_UNSPECIFIED"
    state.delete_recurring_run(recurring_run_id, request.query.get("propagation_policy", unspecified))
    return {}


def _allow_experiment(state: State, request: Request) -> None:
    experiment = state.experiments.get((request.body or {}).get("experiment_id", ""))
    _allow(request, experiment["namespace"] if experiment else "")


def _of_namespace(state: State, request: Request, table: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    namespace = state.namespace_of(request.query.get("namespace"))
    _allow(request, namespace)
    return [item for item in table.values() if not state.is_multi_user or item["namespace"] == namespace]


def _of_experiment_or_namespace(state: State, request: Request, table: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    experiment_id = request.query.get("experiment_id")
    if not experiment_id:
        return _of_namespace(state, request, table)
    experiment = state.get(state.experiments, experiment_id, "experiment")
    _allow(request, experiment["namespace"])
    return [item for item in table.values() if item["experiment_id"] == experiment_id]


def _run(run: dict[str, Any]) -> dict[str, Any]:
    return written({key: value for key, value in run.items() if key not in _RUN_FIELDS_LEFT_OUT})


_ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/experiments", _create_experiment),
    ("GET", "/experiments", _list_experiments),
    ("POST", "/pipelines", _create_pipeline),
    ("GET", "/pipelines", _list_pipelines),
    ("POST", "/pipelines/upload", _upload_pipeline),
    ("POST", "/pipelines/upload_version", _upload_version),
    ("GET", "/pipelines/([^/]+)/versions", _list_versions),
    ("GET", "/pipelines/([^/]+)/versions/([^/]+)", _get_version),
    ("POST", "/runs", _create_run),
    ("GET", "/runs", _list_runs),
    ("POST", "/runs/([^/]+):terminate", _terminate),
    ("GET", "/runs/([^/:]+)", _get_run),
    ("POST", "/recurringruns", _create_recurring_run),
    ("GET", "/recurringruns", _list_recurring_runs),
    ("POST", "/recurringruns/([^/]+):(enable|disable)", _switch),
    ("GET", "/recurringruns/([^/:]+)", _get_recurring_run),
    ("DELETE", "/recurringruns/([^/:]+)", _delete_recurring_run),
)
