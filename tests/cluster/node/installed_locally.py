"""``overlays/local`` on the real node, installed as manifests/README.md says, with the stand-in for KFP where Kubeflow would be."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cluster.kubernetes_api import KubernetesApi, Manifest
from tests.cluster.node.addresses import NODE
from tests.cluster.node.cluster_dns import serve_cluster_dns
from tests.cluster.node.node_under_test import NodeUnderTest
from tests.cluster.node.workloads import await_running, local_volume, log_of, pod_of_one
from tests.images.kept_images import KeptImages
from tests.kfp_api.server import KfpServer, running_kfp
from tests.manifests.rendered import build, copy_manifests, objects_in

NAMESPACE = "edgepress"
RUNS = "kubeflow"
"""Where standalone Kubeflow Pipelines runs everything."""
SECRET = "edgepress-s3"
STORE_URL = "http://edgepress-seaweedfs.edgepress.svc:8333"
TASK_CLAIM = "artifacts"
WAIT_S = 180.0
_KFP_PORT = 8888
_FROM_ELSEWHERE = ("prom/pushgateway", "chrislusf/seaweedfs")
"""Images that a registry on the Internet has; Debian's and pip's builds of the same servers stand for them."""


@dataclass(frozen=True)
class LocalInstallation:
    """What was installed.

    Attributes:
        kfp: the stand-in, behind the Service `ml-pipeline`. It lets in every ServiceAccount's token for `pipelines.kubeflow.org`.
        tokens: what its doorkeeper knows.
        cron_job: of the overlay, not applied.
        receiver_token: for senders of events.
        access_key, secret_key: of the object store.
        artifacts: the folder of the volume TASK_CLAIM in RUNS.
    """

    node: NodeUnderTest
    kfp: KfpServer
    tokens: "ReviewedTokens"
    cron_job: Manifest
    receiver_token: str
    access_key: str
    secret_key: str
    artifacts: Path

    @property
    def api(self) -> KubernetesApi:
        """Of the cluster's administrator."""
        return self.node.real.api

    def address_of(self, service: str, namespace: str = NAMESPACE) -> str:
        """The address of a Service."""
        return str(self.api.request("GET", f"/api/v1/namespaces/{namespace}/services/{service}").body["spec"]["clusterIP"])

    def pods_of(self, name: str) -> list[Manifest]:
        """Pods of one workload in NAMESPACE."""
        query = {"labelSelector": f"app.kubernetes.io/name={name}"}
        items: list[Manifest] = self.api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", query=query).body["items"]
        return items

    def receiver_log(self) -> str:
        """What the receiver has written so far."""
        return log_of(self.api, NAMESPACE, self.pods_of("edgepress-receiver")[0]["metadata"]["name"])

    def first_run(self) -> dict[str, Any]:
        """The run that the receiver starts when it comes up."""
        runs: dict[str, dict[str, Any]] = self.await_value(lambda: self.kfp.state.runs)
        return min(runs.values(), key=lambda run: str(run["created_at"]))

    def await_value(self, look: Callable[[], Any]) -> Any:
        """What ``look`` gives once it is true; the receiver's log says why it is not."""
        deadline = time.monotonic() + WAIT_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s; the receiver:\n{self.receiver_log()[-4000:]}"
            time.sleep(0.2)
        return found

    def store(self) -> Any:
        """A client of the object store, through its Service."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://{self.address_of('edgepress-seaweedfs')}:8333",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


class ReviewedTokens(dict[str, frozenset[str]]):
    """Bearer tokens as Kubeflow Pipelines takes them: it asks Kubernetes about each (TokenReview), for its own audience.

    Attributes:
        users: whom it let in.
    """

    def __init__(self, api: KubernetesApi) -> None:
        super().__init__()
        self._api = api
        self.users: set[str] = set()

    def __contains__(self, token: object) -> bool:
        spec = {"token": token, "audiences": ["pipelines.kubeflow.org"]}
        review: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = self._api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).body["status"]
        if status.get("authenticated"):
            self.users.add(status["user"]["username"])
        return bool(status.get("authenticated"))

    def __getitem__(self, token: str) -> frozenset[str]:
        return frozenset({""})  # what the stand-in calls the namespace where Kubeflow Pipelines serves one user


def render_with(images: KeptImages, overlay: str, folder: Path) -> list[Manifest]:
    """An overlay's objects with the lock of images that exist."""
    copy = copy_manifests(folder)
    shutil.copyfile(images.lock_file, copy / "images" / "lock" / "kustomization.yaml")
    built = build(copy / "overlays" / overlay)
    assert built.returncode == 0, built.stderr
    return objects_in(built.stdout)


def with_image(value: Any, image: str) -> Any:
    """The same object with ``image`` in the place of those that only the Internet has."""
    if isinstance(value, dict):
        return {key: image if key == "image" and _is_from_elsewhere(item) else with_image(item, image) for key, item in value.items()}
    return [with_image(item, image) for item in value] if isinstance(value, list) else value


def _is_from_elsewhere(image: Any) -> bool:
    return isinstance(image, str) and image.startswith(_FROM_ELSEWHERE)


@pytest.fixture(scope="session")
def installed_locally(started_node: NodeUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalInstallation]:
    """Installed once for all tests that look at it."""
    with ExitStack() as stack:
        with started_node.real.network():
            kfp = stack.enter_context(running_kfp(address=NODE))
            kfp.door.tokens = tokens = ReviewedTokens(started_node.real.api)
            installed = _install(started_node, kfp, tokens, tmp_path_factory.mktemp("local"))
        yield installed


def _install(node: NodeUnderTest, kfp: KfpServer, tokens: ReviewedTokens, folder: Path) -> LocalInstallation:
    api = node.real.api
    manifests = [with_image(manifest, node.servers) for manifest in render_with(node.images, "local", folder)]
    cron_job = next(manifest for manifest in manifests if manifest["kind"] == "CronJob")
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RUNS, "labels": restricted}})
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            api.apply(manifest)
    receiver_token, secret_key = secrets.token_hex(32), secrets.token_hex(20)
    credentials = {"AWS_ACCESS_KEY_ID": "edgepress", "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_ENDPOINT_URL_S3": STORE_URL}
    for namespace in (NAMESPACE, RUNS):
        api.apply(secret(namespace, SECRET, credentials))
    api.apply(secret(NAMESPACE, "edgepress-receiver-token", {"token": receiver_token}))
    settings = next(m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"] == "edgepress-settings")
    api.apply(settings | {"metadata": {"namespace": RUNS, "name": "edgepress-settings"}})
    local_volume(api, "store", node.real.folder / "store", (NAMESPACE, "data-edgepress-seaweedfs-0"))
    artifacts = node.real.folder / "artifacts"
    local_volume(api, "artifacts", artifacts, (RUNS, TASK_CLAIM))
    api.apply(claim(RUNS, TASK_CLAIM))
    _serve_kfp(node, kfp)
    services = [manifest for manifest in manifests if manifest["kind"] == "Service"]
    for service in services:
        api.apply(service)
    serve_cluster_dns(api, node.servers)
    for manifest in manifests:
        if manifest["kind"] not in ("Namespace", "Service", "CronJob"):
            api.apply(manifest)
    return LocalInstallation(node, kfp, tokens, cron_job, receiver_token, "edgepress", secret_key, artifacts)


def _serve_kfp(node: NodeUnderTest, kfp: KfpServer) -> None:
    """A Service and a pod as Kubeflow has them; the pod hands every connection to the stand-in, which is in this process."""
    api, labels = node.real.api, {"app": "ml-pipeline"}
    target = kfp.url.removeprefix("http://")
    command = ["socat", f"TCP-LISTEN:{_KFP_PORT},fork,reuseaddr", f"TCP:{target}"]
    api.create(pod_of_one(RUNS, "ml-pipeline", {"image": node.servers, "command": command}, labels))
    ports = [{"name": "http", "port": _KFP_PORT}]
    metadata = {"namespace": RUNS, "name": "ml-pipeline"}
    api.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}})
    await_running(api, RUNS, "ml-pipeline")


def secret(namespace: str, name: str, values: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "stringData": values}


def claim(namespace: str, name: str) -> Manifest:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"namespace": namespace, "name": name}, "spec": spec}
