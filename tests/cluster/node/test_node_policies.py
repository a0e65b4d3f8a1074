"""Every NetworkPolicy of both overlays, enforced: one connection that it lets through and one that it does not.

The engine is kube-network-policies of Kubernetes' network group. Peers are pods that do nothing; connections are made in their networks.
"""

import functools
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.cluster.kubernetes_api import Manifest
from tests.cluster.node.addresses import OUTSIDE
from tests.cluster.node.node_under_test import NodeUnderTest
from tests.cluster.node.workloads import await_running, pod_of_one
from tests.cluster.own_namespaces import in_namespaces
from tests.manifests.rendered import OVERLAYS, of_kind, render

NAME = "app.kubernetes.io/name"
PEERS: dict[str, tuple[str, dict[str, str]]] = {
    "trigger": ("edgepress", {NAME: "edgepress-trigger"}),
    "receiver": ("edgepress", {NAME: "edgepress-receiver"}),
    "pushgateway": ("edgepress", {NAME: "edgepress-pushgateway"}),
    "store": ("edgepress", {NAME: "edgepress-seaweedfs"}),
    "bystander": ("edgepress", {}),
    "task": ("edgepress-runs", {}),
    "pipelines": ("kubeflow", {"app": "ml-pipeline"}),
    "metadata": ("kubeflow", {"component": "metadata-grpc-server"}),
    "standalone-task": ("kubeflow", {}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "not-dns": ("kube-system", {}),
    "prometheus": ("monitoring", {NAME: "prometheus"}),
    "grafana": ("monitoring", {NAME: "grafana"}),
    "sender": ("senders", {}),
    "stranger": ("elsewhere", {}),
    "other-stranger": ("elsewhere", {}),
}
"""Pods: their namespace, as the manifests call it, and their labels."""
OUTSIDE_THE_CLUSTER = "outside"
LABELS_OF_NAMESPACES = {"senders": {"edgepress-events": "allowed"}}
ALLOWED_WITHIN_S = 10.0
REFUSED_WITHIN_S = 1.0
REMOVED_WITHIN_LOOKS = 5


@dataclass(frozen=True)
class Connection:
    """By TCP, from one peer to a port of another."""

    source: str
    target: str
    port: int


@dataclass(frozen=True)
class Case:
    """A policy, by the manifests' name of its namespace.

    Attributes:
        matters: without it, one of the two connections would go the other way.
    """

    namespace: str
    name: str
    allowed: Connection
    refused: Connection
    matters: bool = True

    def __str__(self) -> str:
        return f"{self.namespace}-{self.name}"


BASE = (
    Case("edgepress", "default-deny", Connection("stranger", "other-stranger", 8080), Connection("stranger", "bystander", 8080)),
    Case("edgepress", "allow-dns", Connection("trigger", "dns", 53), Connection("trigger", "not-dns", 53)),
    Case("edgepress", "allow-kubeflow-pipelines", Connection("trigger", "pipelines", 8888), Connection("trigger", "pipelines", 8887)),
    Case("edgepress", "allow-events", Connection("sender", "receiver", 8080), Connection("stranger", "receiver", 8080)),
    Case("edgepress", "allow-pushing", Connection("trigger", "pushgateway", 9091), Connection("receiver", "pushgateway", 9091)),
)
CASES = {
    "local": (
        *BASE,
        Case("edgepress", "allow-pushes", Connection("standalone-task", "pushgateway", 9091), Connection("stranger", "pushgateway", 9091)),
        Case("edgepress", "allow-s3", Connection("standalone-task", "store", 8333), Connection("stranger", "store", 8333)),
        Case("edgepress", "allow-object-store", Connection("receiver", "store", 8333), Connection("bystander", "store", 8333)),
    ),
    "production": (
        *BASE,
        Case("edgepress", "allow-pushes", Connection("task", "pushgateway", 9091), Connection("stranger", "pushgateway", 9091)),
        Case("edgepress", "allow-object-store", Connection("trigger", "outside", 443), Connection("trigger", "outside", 80)),
        Case("edgepress", "allow-scrape", Connection("prometheus", "receiver", 8081), Connection("grafana", "receiver", 8081)),
        Case("edgepress-runs", "default-deny", Connection("stranger", "other-stranger", 8080), Connection("stranger", "task", 8080)),
        Case("edgepress-runs", "allow-dns", Connection("task", "dns", 53), Connection("task", "not-dns", 53)),
        # To the API of Pipelines, Kubeflow's own policies admit the profile; they are not here.
        Case(
            "edgepress-runs", "allow-kubeflow-pipelines", Connection("task", "metadata", 8080), Connection("task", "standalone-task", 8080)
        ),
        Case("edgepress-runs", "allow-kubernetes-api", Connection("task", "outside", 6443), Connection("task", "outside", 6444)),
        Case("edgepress-runs", "allow-pushing", Connection("task", "pushgateway", 9091), Connection("task", "bystander", 9091)),
        # Before either is narrowed to its addresses, allow-kubernetes-api opens the same port.
        Case("edgepress-runs", "allow-object-store", Connection("task", "outside", 443), Connection("task", "outside", 80), matters=False),
        Case("kubeflow", "allow-edgepress", Connection("receiver", "pipelines", 8888), Connection("stranger", "pipelines", 8888)),
    ),
}


@dataclass(frozen=True)
class Policed:
    """Peers under an overlay's policies.

    Attributes:
        policies: by the manifests' names of namespace and policy.
        pods: by the name of the peer.
    """

    node: NodeUnderTest
    policies: dict[tuple[str, str], Manifest]
    pods: dict[str, Manifest]

    def is_possible(self, connection: Connection, within_s: float) -> bool:
        """Whether a connection comes about."""
        real = self.node.real
        target = OUTSIDE if connection.target == OUTSIDE_THE_CLUSTER else self.pods[connection.target]["status"]["podIP"]
        listening = real.network_outside() if connection.target == OUTSIDE_THE_CLUSTER else real.network_of(self.pods[connection.target])
        with listening:
            server = socket.create_server((target, connection.port))
        with closing(server), real.network_of(self.pods[connection.source]):
            try:
                socket.create_connection((target, connection.port), within_s).close()
            except TimeoutError:
                return False
            return True


def policies_of(overlay: str) -> list[Manifest]:
    return of_kind(render(overlay), "NetworkPolicy")


def own_name(policy: Manifest) -> tuple[str, str]:
    return policy["metadata"]["namespace"], policy["metadata"]["name"]


@pytest.fixture(scope="module")
def policed(started_node: NodeUnderTest) -> Callable[[str], Policed]:
    """Gives the peers under an overlay's policies, made once. They go with the node."""

    @functools.cache
    def make(overlay: str) -> Policed:
        api = started_node.real.api
        namespaces = {namespace: f"{namespace}-of-{overlay}" for namespace, _ in PEERS.values()}
        for name, own in namespaces.items():
            metadata = {"name": own, "labels": LABELS_OF_NAMESPACES.get(name, {})}
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        found = policies_of(overlay)
        moved = in_namespaces(found, namespaces)
        for policy in moved:
            api.apply(policy)
        for name, (namespace, labels) in PEERS.items():
            api.create(pod_of_one(namespaces[namespace], name, {"image": started_node.sandbox}, labels))
        pods = {name: await_running(api, namespaces[namespace], name) for name, (namespace, _) in PEERS.items()}
        return Policed(started_node, dict(zip(map(own_name, found), moved, strict=True)), pods)

    return make


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_has_its_two_connections(overlay: str) -> None:
    assert {(case.namespace, case.name) for case in CASES[overlay]} == {own_name(policy) for policy in policies_of(overlay)}


@pytest.mark.parametrize(
    ("overlay", "case"),
    [pytest.param(overlay, case, id=f"{overlay}-{case}") for overlay, of_overlay in CASES.items() for case in of_overlay],
)
def test_a_policy_lets_one_connection_through_and_another_not(
    node: NodeUnderTest, policed: Callable[[str], Policed], overlay: str, case: Case
) -> None:
    under = policed(overlay)
    assert under.is_possible(case.allowed, ALLOWED_WITHIN_S), "what it allows"
    assert not under.is_possible(case.refused, REFUSED_WITHIN_S), "what it does not allow"
    policy = under.policies[case.namespace, case.name]
    path = node.real.api.path("networking.k8s.io/v1", "NetworkPolicy", policy["metadata"]["namespace"], policy["metadata"]["name"])
    node.real.api.request("DELETE", path)
    try:
        assert differs_soon(under, case) == case.matters, "the policy is what makes the difference"
    finally:
        node.real.api.apply(policy)


def differs_soon(under: Policed, case: Case) -> bool:
    """Whether one of the two connections goes the other way; asked again, because the engine hears of a change a moment later."""
    return any(
        not under.is_possible(case.allowed, REFUSED_WITHIN_S) or under.is_possible(case.refused, REFUSED_WITHIN_S)
        for _ in range(REMOVED_WITHIN_LOOKS if case.matters else 1)
    )
