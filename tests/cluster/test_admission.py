"""The API server takes what `kubectl apply -k` would send it, strictly, and Pod Security lets only harmless pods in."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import MONITORING
from tests.cluster.installation import Installation
from tests.cluster.kubernetes_api import ApiStatusError, Manifest


def identity(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def test_every_object_is_admitted_without_a_warning(installation: Installation) -> None:
    """A warning tells of a deprecated API, or of a workload whose pods Pod Security would refuse."""
    assert {"Namespace", "ServiceAccount", "CronJob", "Deployment", "NetworkPolicy"} <= {m["kind"] for m in installation.manifests}
    warned = {identity(m): a.warnings for m, a in zip(installation.manifests, installation.answers, strict=True) if a.warnings}
    assert warned == {}


def test_applying_again_changes_nothing(cluster: Cluster, installation: Installation) -> None:
    """Otherwise a controller that applies from a repository would restart workloads for ever."""
    again = [cluster.api.apply(manifest).body for manifest in installation.manifests if manifest["kind"] != "CronJob"]
    before = {answer.body["metadata"]["uid"]: answer.body["metadata"].get("generation") for answer in installation.answers}
    changed = [identity(body) for body in again if before[body["metadata"]["uid"]] != body["metadata"].get("generation")]
    assert changed == []


def test_nothing_lies_outside_the_namespaces(installation: Installation) -> None:
    """A platform team can hand EdgePress namespaces, and needs to hand it nothing of the whole cluster."""
    outside = [identity(m) for m in installation.manifests if "namespace" not in m["metadata"] and m["kind"] != "Namespace"]
    assert outside == []


def test_every_own_namespace_enforces_restricted(cluster: Cluster, installation: Installation) -> None:
    for manifest in installation.of_kind("Namespace"):
        live = cluster.api.request("GET", f"/api/v1/namespaces/{manifest['metadata']['name']}").body
        assert live["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", identity(manifest)


@pytest.mark.parametrize("installation", ["production"], indirect=True)
def test_a_profile_s_namespace_keeps_the_label_that_kubeflow_admits_it_by(cluster: Cluster, installation: Installation) -> None:
    """The profile controller made it beforehand. Two managers of one label are a conflict; forcing it shuts the pods out of Kubeflow."""
    label = {"app.kubernetes.io/part-of": "kubeflow-profile"}
    name = f"profile-{cluster.suffix}"
    ours = next(m for m in installation.of_kind("Namespace") if m["metadata"]["name"] == installation.namespaces["edgepress-runs"])
    with cluster.removing([name]):
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": label}})
        applied = cluster.api.apply(ours | {"metadata": ours["metadata"] | {"name": name}}).body
    assert label.items() <= applied["metadata"]["labels"].items()


def test_the_pods_of_every_workload_are_admitted(cluster: Cluster, installation: Installation) -> None:
    assert installation.pods()
    for pod in installation.pods():
        assert cluster.api.create(pod, dry_run=True).warnings == ()


def test_every_deployment_comes_up(cluster: Cluster, installation: Installation) -> None:
    """Through the ReplicaSet controller, admission under the pod's own ServiceAccount, and the scheduler."""
    if not cluster.is_own:
        pytest.skip("the images of the example lock exist nowhere, so a cluster from outside cannot run them")
    for deployment in installation.of_kind("Deployment"):
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]

        def available(found: list[Manifest], name: str = name) -> bool | None:
            status = next(item.get("status", {}) for item in found if item["metadata"]["name"] == name)
            return True if status.get("availableReplicas", 0) >= 1 else None

        cluster.api.watch(cluster.api.path("apps/v1", "Deployment", namespace), available)


def privileged(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"] = {"privileged": True}


def as_root(spec: dict[str, Any]) -> None:
    spec["securityContext"] |= {"runAsUser": 0}


def maybe_as_root(spec: dict[str, Any]) -> None:
    spec["securityContext"] |= {"runAsNonRoot": False}


def escalating(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True


def with_a_capability(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["SYS_PTRACE"]}


def without_seccomp(spec: dict[str, Any]) -> None:
    spec["securityContext"]["seccompProfile"] = {"type": "Unconfined"}


def on_the_host_network(spec: dict[str, Any]) -> None:
    spec["hostNetwork"] = True


def with_the_host_s_files(spec: dict[str, Any]) -> None:
    spec.setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/"}})


BAD: dict[Callable[[dict[str, Any]], None], str] = {
    privileged: "privileged",
    as_root: "runAsUser=0",
    maybe_as_root: "runAsNonRoot != true",
    escalating: "allowPrivilegeEscalation != false",
    with_a_capability: "unrestricted capabilities",
    without_seccomp: "seccompProfile",
    on_the_host_network: "host namespaces",
    with_the_host_s_files: "hostPath",
}
"""What makes a pod bad: the violation that Pod Security names."""


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_pod_is_refused(cluster: Cluster, installation: Installation, spoil: Callable[[dict[str, Any]], None]) -> None:
    """In every namespace of ours, and for that reason: it is the trigger's pod, which is admitted, but for one thing."""
    good = next(pod for pod in installation.pods() if pod["metadata"]["name"] == "edgepress-trigger")
    good["spec"].pop("serviceAccountName")
    for namespace in installation.of_kind("Namespace"):
        bad = copy.deepcopy(good)
        bad["metadata"]["namespace"] = namespace["metadata"]["name"]
        cluster.api.create(bad, dry_run=True)
        spoil(bad["spec"])
        with pytest.raises(ApiStatusError, match='violates PodSecurity "restricted') as refused:
            cluster.api.create(bad, dry_run=True)
        assert refused.value.code == 403
        assert BAD[spoil] in str(refused.value)


def test_a_misspelt_field_is_refused(cluster: Cluster, installation: Installation) -> None:
    """In every kind that has a spec, custom resources included; so what was admitted above holds no field that does nothing."""
    of_each_kind = {manifest["kind"]: manifest for manifest in installation.manifests if "spec" in manifest}
    expected = {"Deployment", "CronJob", "NetworkPolicy", "Service"}
    if installation.overlay == "production" and cluster.api.is_served(MONITORING, "ServiceMonitor"):
        expected |= {"ServiceMonitor", "PrometheusRule"}
    assert expected <= set(of_each_kind)
    for manifest in of_each_kind.values():
        misspelt = copy.deepcopy(manifest)
        misspelt["spec"]["selectr"] = {}
        with pytest.raises(ApiStatusError, match="selectr"):
            cluster.api.apply(misspelt, dry_run=True)
