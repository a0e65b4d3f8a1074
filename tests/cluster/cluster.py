"""The cluster that tests run against, as a fixture: ``from tests.cluster.cluster import cluster`` gives it to any test module.

``EDGEPRESS_TEST_KUBECONFIG`` names the kubeconfig of a cluster to use; nothing else does, so that no test ever touches the cluster that
``KUBECONFIG`` or ``~/.kube/config`` happens to name. Without it a control plane is started, where Go and its module proxy are there.
Where neither is, every test that asks for the fixture is skipped with NOT_RUN and the reason.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.binaries import UnavailableError
from tests.cluster.control_plane import running_control_plane
from tests.cluster.custom_resources import install_custom_resources
from tests.cluster.kubernetes_api import ApiStatusError, KubernetesApi, Manifest

VARIABLE = "EDGEPRESS_TEST_KUBECONFIG"
NOT_RUN = "cluster tests: NOT RUN"


@dataclass(frozen=True)
class Cluster:
    """A cluster under test.

    Attributes:
        api: of its administrator.
        is_own: started by these tests: nodes are played by kwok, and an image need not exist for its pod to run.
        suffix: of the names of every namespace that these tests make here.
    """

    api: KubernetesApi
    is_own: bool
    suffix: str

    @contextmanager
    def namespace(self, purpose: str, *, pod_security: str = "restricted") -> Iterator[str]:
        """A namespace that is removed afterwards.

        Args:
            purpose: the beginning of its name.
            pod_security: the Pod Security Standard that it enforces.
        """
        name = f"{purpose}-{secrets.token_hex(2)}-{self.suffix}"  # one of the same purpose may still be on its way out
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        with self.removing([name]):
            self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            yield name

    @contextmanager
    def removing(self, namespaces: list[str]) -> Iterator[None]:
        """Remove these namespaces when the context ends, with all that they hold."""
        try:
            yield
        finally:
            for name in namespaces:
                try:
                    self.api.request("DELETE", f"/api/v1/namespaces/{name}")
                except ApiStatusError as error:
                    if error.code != 404:
                        raise

    def token_of(self, namespace: str, service_account: str, audience: str | None = None) -> str:
        """A token of a ServiceAccount, as a pod would mount it (TokenRequest).

        Args:
            audience: None is the Kubernetes API.
        """
        spec: Manifest = {"expirationSeconds": 600} | ({} if audience is None else {"audiences": [audience]})
        request: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        return str(self.api.request("POST", path, request).body["status"]["token"])


@contextmanager
def open_cluster(folder: Path, report: Callable[[str], None] = lambda _: None) -> Iterator[Cluster]:
    """The cluster that the environment names, or one that is started for this context.

    Raises:
        UnavailableError: neither can be had here.
        ControlPlaneError, BuildError: the one to be started does not start.
        FileNotFoundError: the variable names no file.
    """
    suffix = f"test-{secrets.token_hex(3)}"
    named = os.environ.get(VARIABLE)
    if named is not None:
        if not Path(named).is_file():
            raise FileNotFoundError(f"{VARIABLE}={named}: there is no such file")
        with closing(KubernetesApi(Path(named))) as api:
            yield Cluster(api, is_own=False, suffix=suffix)
        return
    with running_control_plane(folder, report) as kubeconfig, closing(KubernetesApi(kubeconfig)) as api:
        install_custom_resources(api)
        yield Cluster(api, is_own=True, suffix=suffix)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests of a process."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def report(line: str) -> None:
        if reporter is not None:
            reporter.write_line(line)

    with ExitStack() as opened:
        try:
            found = opened.enter_context(open_cluster(tmp_path_factory.mktemp("cluster"), report))
        except UnavailableError as error:
            pytest.skip(f"{NOT_RUN} ({error}; and {VARIABLE} names no cluster)")
        yield found
