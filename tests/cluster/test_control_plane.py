"""The control plane that the other tests stand on: the real thing, and clear words when it does not start."""

from pathlib import Path

import pytest

from tests.cluster.binaries import kubernetes_version
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlaneError, running_control_plane
from tests.cluster.kubernetes_api import ApiStatusError


def test_it_is_the_version_of_go_mod(cluster: Cluster) -> None:
    version = cluster.api.request("GET", "/version").body
    assert not cluster.is_own or version["gitVersion"] == kubernetes_version()
    assert int(version["minor"].rstrip("+")) >= 34


def test_nobody_enters_without_a_token(cluster: Cluster) -> None:
    with pytest.raises(ApiStatusError) as refused:
        cluster.api.as_bearer("guessed").request("GET", "/api/v1/namespaces")
    assert refused.value.code == 401


def test_what_it_makes_it_removes(cluster: Cluster) -> None:
    with cluster.namespace("passing") as name:
        assert cluster.api.request("GET", f"/api/v1/namespaces/{name}").body["status"]["phase"] == "Active"
    path = cluster.api.path("v1", "Namespace")
    cluster.api.watch(path, lambda found: True if name not in {item["metadata"]["name"] for item in found} else None)


def test_a_server_that_ends_is_named_with_its_last_words(cluster: Cluster, tmp_path: Path) -> None:
    if not cluster.is_own:
        pytest.skip("this is about a control plane of our own")
    (tmp_path / "etcd").write_text("a file where etcd wants its folder")
    with pytest.raises(ControlPlaneError, match=r"etcd ended with code 1(.|\n)*not a directory"), running_control_plane(tmp_path):
        pytest.fail("it started all the same")
