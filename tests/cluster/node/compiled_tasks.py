"""Tasks of a pipeline that was uploaded, as pods: what Kubeflow Pipelines makes of the compiled file, without its launcher.

Artifacts lie on a volume where the launcher would have put them, so what a task gives the next one takes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.kubernetes_api import KubernetesApi, Manifest
from tests.cluster.node.workloads import RESTRICTED, await_end

_MOUNTED = "/minio"
"""Where KFP's executor looks for artifacts whose URI begins with minio://."""
_BUCKET = "mlpipeline/tasks"
_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['(?:pipelinechannel--)?(\w+)'\]\}\}")
_CHANNEL = "pipelinechannel--"

Artifact = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What a task gave.

    Attributes:
        parameters, artifacts: by the names of its outputs.
        log: what its container wrote.
    """

    parameters: dict[str, Any]
    artifacts: dict[str, Artifact]
    log: str


@dataclass
class CompiledRun:
    """A run whose tasks are started one by one.

    Attributes:
        spec, pods: the two documents of the compiled pipeline.
        parameters: of the run.
        namespace: that the pods are in.
        claim: the volume's; volume: the folder that it is.
    """

    api: KubernetesApi
    spec: Manifest
    pods: Manifest
    run_id: str
    parameters: dict[str, Any]
    namespace: str
    claim: str
    volume: Path
    started: list[str] = field(default_factory=list)

    def run(self, component: str, parameters: Mapping[str, Any] | None = None, **artifacts: Artifact | Sequence[Artifact]) -> Given:
        """Run a component in a pod and wait for it; it must end well.

        Args:
            component: its name in the compiled pipeline, without ``comp-``.
            parameters: those that do not come from the run's own parameters of the same name.
            artifacts: its inputs.
        """
        declared = self.spec["components"][f"comp-{component}"]
        label = declared["executorLabel"]
        values = self._values(component, declared, parameters or {})
        place = f"{len(self.started):02d}-{component}"
        self.started.append(place)
        outputs = declared.get("outputDefinitions", {})
        path, uri = f"{_MOUNTED}/{_BUCKET}/{place}", f"minio://{_BUCKET}/{place}"
        new = {
            name: {"name": name, "type": kind["artifactType"], "uri": f"{uri}/{name}", "metadata": {}}
            for name, kind in outputs.get("artifacts", {}).items()
        }
        asked = {
            "inputs": {"parameterValues": values, "artifacts": {name: {"artifacts": _listed(value)} for name, value in artifacts.items()}},
            "outputs": {
                "parameters": {name: {"outputFile": f"{path}/{name}"} for name in outputs.get("parameters", {})},
                "artifacts": {name: {"artifacts": [artifact]} for name, artifact in new.items()},
                "outputFile": f"{path}/executor_output.json",
            },
        }
        pod = self._pod(f"task-{place}", label, asked)
        self.api.create(pod)
        log = await_end(self.api, self.namespace, pod["metadata"]["name"])
        told = json.loads((self.volume / _BUCKET / place / "executor_output.json").read_text())
        given = {name: (self.volume / _BUCKET / place / name).read_text() for name in outputs.get("parameters", {}) if name != "Output"}
        made = {name: entry["artifacts"][0] for name, entry in told.get("artifacts", {}).items()}
        return Given(given | told.get("parameterValues", {}), made, log)

    def _values(self, component: str, declared: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
        """Each parameter as given, or as the pipeline's graph says: a constant, or a parameter of the run."""
        inputs = next(
            task["inputs"].get("parameters", {})
            for graph in [self.spec["root"], *self.spec["components"].values()]
            for task in graph.get("dag", {}).get("tasks", {}).values()
            if task["componentRef"]["name"] == f"comp-{component}"
        )
        values = {}
        for name in declared.get("inputDefinitions", {}).get("parameters", {}):
            if name in given:
                values[name] = given[name]
            elif "runtimeValue" in inputs[name]:
                values[name] = str(inputs[name]["runtimeValue"]["constant"]).replace("{{$.pipeline_job_uuid}}", self.run_id)
            else:
                values[name] = self.parameters[inputs[name]["componentInputParameter"].removeprefix(_CHANNEL)]
        return values

    def _pod(self, name: str, label: str, asked: Manifest) -> Manifest:
        """Strict: what the compiled file asks for and is not known here is an error."""
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        wanted = dict(self.pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label])
        arguments = [json.dumps(asked) if argument == "{{$}}" else argument for argument in container.get("args", [])]
        environment = list(container.get("env", []))
        environment += [
            {"name": field["name"], "valueFrom": {"fieldRef": {"fieldPath": field["fieldPath"]}}}
            for field in wanted.pop("fieldPathAsEnv", [])
        ]
        for kind, key in (("secret", "secretKeyRef"), ("configMap", "configMapKeyRef")):
            for source in wanted.pop(f"{kind}AsEnv", []):
                named = self._resolved(source[f"{kind}NameParameter"])
                environment += [
                    {
                        "name": item["envVar"],
                        "valueFrom": {key: {"name": named, "key": item[f"{kind}Key"], "optional": source.get("optional", False)}},
                    }
                    for item in source["keyToEnv"]
                ]
        user = {key: value if key == "runAsNonRoot" else int(value) for key, value in wanted.pop("securityContext").items()}
        selector, tolerations = wanted.pop("nodeSelector", {}), wanted.pop("tolerations", [])
        spec: Manifest = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "activeDeadlineSeconds": int(wanted.pop("activeDeadlineSeconds")),
            "nodeSelector": self._resolved(selector["nodeSelectorJson"]) if selector else {},
            "tolerations": [item for entry in tolerations for item in self._resolved(entry["tolerationJson"])],
            "containers": [
                {
                    "name": "main",
                    "image": container["image"],
                    "imagePullPolicy": wanted.pop("imagePullPolicy"),
                    "command": container["command"],
                    "args": arguments,
                    "env": environment,
                    "resources": self._resources(container.get("resources", {})),
                    # Kubeflow Pipelines adds what `restricted` asks for beside the user; the read-only root is this test's own.
                    "securityContext": {key: value for key, value in RESTRICTED.items() if not key.startswith("runAs")} | user,
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "artifacts", "mountPath": _MOUNTED}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "artifacts", "persistentVolumeClaim": {"claimName": self.claim}}],
        }
        labels = {"pipeline/runid": self.run_id, **wanted.pop("podMetadata", {}).get("labels", {})}
        assert not wanted, f"{label} asks for what is not known here: {sorted(wanted)}"
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": self.namespace, "name": name, "labels": labels}, "spec": spec}

    def _resolved(self, value: Manifest) -> Any:
        """A constant, or a parameter of the run."""
        if "runtimeValue" in value:
            return value["runtimeValue"]["constant"]
        return self.parameters[value["componentInputParameter"].removeprefix(_CHANNEL)]

    def _resources(self, wanted: Mapping[str, Any]) -> Manifest:
        def amount(kind: str) -> dict[str, str]:
            said = {"cpu": wanted.get(f"resourceCpu{kind}", ""), "memory": wanted.get(f"resourceMemory{kind}", "")}
            filled = {name: _PARAMETER.sub(lambda found: str(self.parameters[found[1]]), text) for name, text in said.items()}
            return {name: text for name, text in filled.items() if text}

        return {"requests": amount("Request"), "limits": amount("Limit")}


def _listed(value: Artifact | Sequence[Artifact]) -> list[Artifact]:
    return [value] if isinstance(value, dict) else list(value)
