"""The project's manifests, moved into namespaces of a test's own."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.cluster.kubernetes_api import Manifest

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_KINDS_WITH_POD_TEMPLATES = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}


def in_namespaces(manifests: list[Manifest], names: Mapping[str, str]) -> list[Manifest]:
    """The same objects with each namespace under another name, wherever one is referred to as such."""

    def moved(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {inner: moved(item, inner) for inner, item in value.items()}
        if isinstance(value, list):
            return [moved(item, key) for item in value]
        return names.get(value, value) if key in ("namespace", _NAMESPACE_LABEL, "matchNames") else value

    result = []
    for manifest in manifests:
        here = moved(manifest)
        if here["kind"] == "Namespace":
            here["metadata"]["name"] = names[here["metadata"]["name"]]
        result.append(here)
    return result


def namespaces_of(manifests: list[Manifest]) -> set[str]:
    """Every namespace that the objects lie in or make."""
    made = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Namespace"}
    return made | {manifest["metadata"]["namespace"] for manifest in manifests if "namespace" in manifest["metadata"]}


def pod_of(workload: Manifest) -> Manifest | None:
    """The pod that a Deployment, Job, CronJob or the like makes, named after it; None for another kind."""
    if workload["kind"] not in _KINDS_WITH_POD_TEMPLATES:
        return None
    spec = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    template = spec["template"]
    metadata = {"name": workload["metadata"]["name"], "namespace": workload["metadata"]["namespace"]}
    pod_spec = copy.deepcopy(template["spec"])
    for claim in spec.get("volumeClaimTemplates", []):  # the StatefulSet controller puts the claim's name in
        name = claim["metadata"]["name"]
        pod_spec.setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata | {"labels": template.get("metadata", {}).get("labels", {})},
        "spec": pod_spec,
    }
