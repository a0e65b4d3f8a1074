"""Each overlay of the manifests, applied to the cluster under test, as a fixture."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import MONITORING
from tests.cluster.kubernetes_api import Answer, Manifest
from tests.cluster.own_namespaces import in_namespaces, namespaces_of, pod_of
from tests.manifests.rendered import OVERLAYS, render


@dataclass(frozen=True)
class Installation:
    """An overlay that was applied in namespaces of its own.

    Attributes:
        overlay: its name.
        namespaces: the manifests' own name of each: its name here.
        manifests: what was applied, in order.
        answers: what the API server said to each.
    """

    overlay: str
    namespaces: dict[str, str]
    manifests: list[Manifest]
    answers: list[Answer]

    def of_kind(self, kind: str) -> list[Manifest]:
        """Those of one kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def pods(self) -> list[Manifest]:
        """A pod of each workload."""
        return [pod for pod in map(pod_of, self.manifests) if pod is not None]


@pytest.fixture(scope="session", params=OVERLAYS)
def installation(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Installation]:
    """Each overlay in turn, installed once for all tests."""
    overlay: str = request.param
    manifests = render(overlay)
    if not cluster.is_own and not cluster.api.is_served(MONITORING, "ServiceMonitor"):
        manifests = [manifest for manifest in manifests if manifest["apiVersion"] != MONITORING]
    turn = secrets.token_hex(2)  # an overlay may be installed again while its namespaces of before are on their way out
    namespaces = {name: f"{name}-{overlay}-{turn}-{cluster.suffix}" for name in sorted(namespaces_of(manifests))}
    made_by_overlay = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Namespace"}
    with cluster.removing(list(namespaces.values())):
        for name in sorted(set(namespaces) - made_by_overlay):  # what the platform brings: Kubeflow's own
            cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespaces[name]}})
        moved = in_namespaces(manifests, namespaces)
        yield Installation(overlay, namespaces, moved, [cluster.api.apply(manifest) for manifest in moved])
