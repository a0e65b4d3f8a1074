"""Pods that tests put on the node, and what becomes of them."""

from pathlib import Path
from typing import Any

from tests.cluster.kubernetes_api import KubernetesApi, Manifest

OWNER = 65532
"""Who EdgePress' pods run as."""
START_TIMEOUT_S = 180.0
"""Pulling the largest image is part of it."""

RESTRICTED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
    "runAsNonRoot": True,
    "runAsUser": OWNER,
    "runAsGroup": OWNER,
}
"""A container's context under Pod Security's `restricted`, and a root that cannot be written."""


def pod_of_one(namespace: str, name: str, container: Manifest, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A pod of one restricted container, which never speaks to the Kubernetes API."""
    main: Manifest = {"name": "main", "securityContext": RESTRICTED, **container}
    common: Manifest = {"automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels or {}},
        "spec": {**common, "containers": [main], **spec},
    }


def await_running(api: KubernetesApi, namespace: str, name: str, timeout_s: float = START_TIMEOUT_S) -> Manifest:
    """The pod, once its containers are ready."""

    def ready(pods: list[Manifest]) -> Manifest | None:
        pod = next((pod for pod in pods if pod["metadata"]["name"] == name), None)
        conditions = {} if pod is None else {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
        return pod if conditions.get("Ready") == "True" else None

    return api.watch(f"/api/v1/namespaces/{namespace}/pods", ready, timeout_s)


def await_end(api: KubernetesApi, namespace: str, name: str, timeout_s: float = START_TIMEOUT_S) -> str:
    """What a pod's container wrote, once it has ended; it must have ended well."""

    def ended(pods: list[Manifest]) -> str | None:
        phase = next(pod["status"]["phase"] for pod in pods if pod["metadata"]["name"] == name)
        return phase if phase in ("Succeeded", "Failed") else None

    phase = api.watch(f"/api/v1/namespaces/{namespace}/pods", ended, timeout_s)
    text = log_of(api, namespace, name)
    assert phase == "Succeeded", f"{name} ended as {phase}:\n{text[-6000:]}"
    return text


def log_of(api: KubernetesApi, namespace: str, name: str) -> str:
    """What a pod's one container has written so far."""
    return api.text(f"/api/v1/namespaces/{namespace}/pods/{name}/log")


def local_volume(api: KubernetesApi, name: str, path: Path, claim: tuple[str, str]) -> None:
    """A folder of this machine as the volume that one claim gets, for OWNER to write.

    Args:
        claim: its namespace and its name.
    """
    path.mkdir()
    path.chmod(0o777)
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "10Gi"},
                "hostPath": {"path": str(path)},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim[0], "name": claim[1]},
            },
        }
    )
