"""What a KFP installation remembers, and how its API server changes it.

The rules were read in the source of KFP 2.17's API server (backend/src/apiserver: server, resource, storage, list, template): names of
experiments, pipelines and versions are unique, those of runs and recurring runs are not; a namespace is dropped where there is one user
and demanded where there are many; a run that has not finished says that it finished in 1970; a recurring run owns the Workflows that it
started, so Kubernetes' garbage collector removes them with it unless they are orphaned, and nobody says how such a run ended; a run that
is terminated goes by CANCELING to FAILED; entries of a run's history may lack their state.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import kfp_server_api.models as models

from tests.kfp_api.messages import ApiError, parse
from tests.kfp_api.pipeline_spec import check_cron, check_parameters, parse_pipeline

NEVER = "1970-01-01T00:00:00Z"
POD_NAMESPACE = "kubeflow"


@dataclass
class State:
    """Everything, by identifier. Holders of ``lock`` may look and change.

    Attributes:
        is_multi_user: whether each user has a namespace.
        specs: of each version: what it runs.
        uploads: of each version: the file, in which the platform's part is too.
        lost_workflows: runs in progress whose Workflow is gone: their pods are too, and their state stays what it is.
    """

    is_multi_user: bool = False
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost_workflows: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _clock: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))

    def is_empty(self) -> bool:
        """Whether nothing was ever made."""
        return not (self.experiments or self.pipelines or self.versions or self.runs or self.recurring_runs)

    def namespace_of(self, given: str | None) -> str:
        """The namespace that a request means.

        Raises:
            ApiError: many users, and none is named.
        """
        if not self.is_multi_user:
            return ""
        if not given:
            raise ApiError(400, "Namespace cannot be empty in multi-user mode")
        return given

    def create_experiment(self, body: Any) -> dict[str, Any]:
        wanted = parse(body, "V2beta1Experiment")
        namespace = self.namespace_of(wanted.get("namespace"))
        name = _required(wanted, "display_name", "experiment", 128)
        self._refuse_same_name(self.experiments, name, namespace, "experiment")
        made = {"display_name": name, "description": wanted.get("description", ""), "namespace": namespace}
        return self._add(self.experiments, "experiment_id", made | {"storage_state": "AVAILABLE", "last_run_created_at": NEVER})

    def create_pipeline(self, body: Any) -> dict[str, Any]:
        wanted = parse(body, "V2beta1Pipeline")
        namespace = self.namespace_of(wanted.get("namespace"))
        name = wanted.get("name") or _required(wanted, "display_name", "pipeline", 128)
        self._refuse_same_name(self.pipelines, name, namespace, "pipeline")
        made = {"name": name, "display_name": wanted.get("display_name") or name, "description": wanted.get("description", "")}
        return self._add(self.pipelines, "pipeline_id", made | {"namespace": namespace})

    def create_version(self, pipeline_id: str, name: str, description: str, content: bytes) -> dict[str, Any]:
        """From an uploaded file."""
        if pipeline_id not in self.pipelines:
            raise ApiError(400, "Failed to create a pipeline version")
        if len(name) > 127:
            raise ApiError(400, "PipelineVersion.Name length cannot exceed 127")
        if any(version["pipeline_id"] == pipeline_id and version["name"] == name for version in self.versions.values()):
            raise ApiError(409, "Failed to create a pipeline version")
        spec, platform = parse_pipeline(content)
        told = spec if platform is None else {"pipeline_spec": spec, "platform_spec": platform}
        made = {"pipeline_id": pipeline_id, "name": name, "display_name": name, "description": description, "pipeline_spec": told}
        version = self._add(self.versions, "pipeline_version_id", made)
        self.specs[version["pipeline_version_id"]] = spec
        self.uploads[version["pipeline_version_id"]] = content
        return version

    def create_run(self, body: Any) -> dict[str, Any]:
        wanted = parse(body, "V2beta1Run")
        made = self._startable(wanted, "run")
        now = made.pop("now")
        made |= {"state": "PENDING", "scheduled_at": now, "finished_at": NEVER, "storage_state": "AVAILABLE"}
        made["state_history"] = [{"update_time": now, "state": "PENDING"}]
        return self._add(self.runs, "run_id", made)

    def create_recurring_run(self, body: Any) -> dict[str, Any]:
        wanted = parse(body, "V2beta1RecurringRun")
        made = self._startable(wanted, "recurring run")
        now = made.pop("now")
        concurrency = int(wanted.get("max_concurrency", 0))
        if not 1 <= concurrency <= 10:
            raise ApiError(400, f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {concurrency}")
        trigger = wanted.get("trigger", {})
        if "cron_schedule" in trigger:
            check_cron(trigger["cron_schedule"].get("cron", ""))
        enabled = wanted.get("mode") == "ENABLE"
        if wanted.get("mode") not in ("ENABLE", "DISABLE"):
            raise ApiError(400, "Recurring run's mode is unspecified")
        made |= {"max_concurrency": concurrency, "no_catchup": wanted.get("no_catchup", False), "trigger": trigger, "updated_at": now}
        made |= {"status": "ENABLED" if enabled else "DISABLED", "mode": "ENABLE" if enabled else "DISABLE"}
        made["namespace"] = made["namespace"] or POD_NAMESPACE
        return self._add(self.recurring_runs, "recurring_run_id", made)

    def switch(self, recurring_run_id: str, enabled: bool) -> None:
        found = self.get(self.recurring_runs, recurring_run_id, "recurring run")
        found |= {"status": "ENABLED" if enabled else "DISABLED", "mode": "ENABLE" if enabled else "DISABLE"}

    def delete_recurring_run(self, recurring_run_id: str, propagation_policy: str) -> None:
        """Delete a recurring run, and the Workflows that it owns unless the policy makes them orphans."""
        self.get(self.recurring_runs, recurring_run_id, "recurring run")
        if propagation_policy not in models.V2beta1DeletePropagationPolicy.allowable_values:
            raise ApiError(400, f'parsing field "propagation_policy": {propagation_policy} is not valid')
        del self.recurring_runs[recurring_run_id]
        if propagation_policy != models.V2beta1DeletePropagationPolicy.ORPHAN:
            owned = (run for run in self.runs.values() if run.get("recurring_run_id") == recurring_run_id)
            self.lost_workflows.update(run["run_id"] for run in owned if run["finished_at"] == NEVER)

    def terminate(self, run_id: str) -> None:
        run = self.get(self.runs, run_id, "run")
        if run["finished_at"] != NEVER:
            raise ApiError(400, f"Failed to terminate a run: Failed to terminate a run {run_id}. Row not found")
        self.set_state(run_id, "CANCELING")

    def set_state(self, run_id: str, state: str) -> None:
        """Let a run go on to another state, as its Workflow's is translated: none ever becomes CANCELED."""
        assert state != "CANCELED", "a run that was terminated ends as FAILED"
        with self.lock:
            run = self.runs[run_id]
            assert run_id not in self.lost_workflows or state == "CANCELING", "KFP learns how a run stands from its Workflow"
            if (run["state"], state) == ("PENDING", "RUNNING"):  # reported once before its Workflow has a phase
                run["state_history"].append({"update_time": self.now()})
            run["state"] = state
            run["state_history"].append({"update_time": self.now(), "state": state})
            if state in ("SUCCEEDED", "FAILED", "SKIPPED"):
                run["finished_at"] = self.now()

    def report_task(self, run_id: str, task: str, state: str) -> None:
        """Record how a task of a run stands, as KFP reports the nodes of its Workflow: several for each task, none with an error.

        A task has a driver, an executor and, as it may be tried again, an attempt of its own; the whole run is one, too.
        """
        with self.lock:
            now = self.now()
            nodes = [(f"{task}-driver", "SUCCEEDED"), (task, state), (f"{task}(0)", state), ("executor", state), ("root", state)]
            details = self.runs[run_id].setdefault("run_details", {"task_details": []})["task_details"]
            for name, stands in nodes:
                times = {"create_time": now, "start_time": now, "end_time": "0001-01-01T00:00:00Z" if stands == "RUNNING" else now}
                node = {"run_id": run_id, "task_id": str(uuid.uuid4()), "display_name": name, "state": stands}
                details.append(node | times | {"state_history": [{"update_time": now, "state": stands}]})
            details.append({"run_id": run_id, "task_id": str(uuid.uuid4()), "create_time": now})  # of an execution, without name and state

    def fire(self, recurring_run_id: str) -> str:
        """Let a recurring run start a run, as its controller does when the time has come; the run's identifier."""
        with self.lock:
            source = self.recurring_runs[recurring_run_id]
            keys = ("experiment_id", "pipeline_version_reference", "runtime_config", "service_account")
            body = {key: source[key] for key in keys if source.get(key)}
            run = self.create_run(body | {"display_name": f"{source['display_name']}-{uuid.uuid4().hex[:5]}"})
            run["recurring_run_id"] = recurring_run_id
            return str(run["run_id"])

    def get(self, table: Mapping[str, dict[str, Any]], identifier: str, what: str) -> dict[str, Any]:
        if identifier not in table:
            raise ApiError(404, f"Failed to get {what} {identifier}: not found")
        return table[identifier]

    def now(self) -> str:
        """A time later than the last: KFP counts whole seconds, and tests shall not wait for one to pass."""
        self._clock += timedelta(seconds=1)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def set_clock(self, now: datetime) -> None:
        """Let time pass until then."""
        self._clock = now

    def _startable(self, wanted: dict[str, Any], what: str) -> dict[str, Any]:
        """What runs and recurring runs have in common."""
        name = _required(wanted, "display_name", what, 10_000)
        if not wanted.get("experiment_id"):
            raise ApiError(400, "Experiment id can not be empty")
        experiment = self.get(self.experiments, wanted["experiment_id"], "experiment")
        given = wanted.get("namespace")
        if given and given != experiment["namespace"] and self.is_multi_user:
            raise ApiError(400, f"Experiment belongs to namespace '{experiment['namespace']}' instead of '{given}'")
        reference = wanted.get("pipeline_version_reference", {})
        version = self.get(self.versions, reference.get("pipeline_version_id", ""), "pipeline version")
        config = wanted.get("runtime_config", {})
        check_parameters(self.specs[version["pipeline_version_id"]], config.get("parameters", {}))
        now = self.now()
        experiment["last_run_created_at"] = now
        return {
            "display_name": name,
            "description": wanted.get("description", ""),
            "experiment_id": wanted["experiment_id"],
            "namespace": experiment["namespace"],
            "pipeline_version_reference": reference,
            "runtime_config": config,
            "service_account": wanted.get("service_account") or "pipeline-runner",
            "now": now,
        }

    def _refuse_same_name(self, table: Mapping[str, dict[str, Any]], name: str, namespace: str, what: str) -> None:
        names = {(item.get("name", item["display_name"]), item["namespace"]) for item in table.values()}
        if (name, namespace) in names:
            raise ApiError(409, f"Failed to create a new {what}: The name {name} already exists. Please specify a new name")

    def _add(self, table: dict[str, dict[str, Any]], key: str, item: dict[str, Any]) -> dict[str, Any]:
        identifier = str(uuid.uuid4())
        table[identifier] = {key: identifier, "created_at": self.now()} | item
        return table[identifier]


def _required(wanted: Mapping[str, Any], key: str, what: str, longest: int) -> str:
    value = str(wanted.get(key) or "")
    if not value:
        raise ApiError(400, f"The {what} name is empty. Please specify a valid name")
    if len(value) > longest:
        raise ApiError(400, f"The {what} name is longer than {longest} characters")
    return value
