"""A Kubernetes control plane: the real etcd, API server, controller manager and scheduler, and kwok to play nodes where there are none.

<folder>/credentials/   keys, certificates, tokens, kubeconfigs
<folder>/etcd/          what the API server stores
<folder>/<server>.log   each server's own words
"""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import urllib3

from tests.cluster.binaries import find_or_build
from tests.cluster.credentials import ADMIN, LOOPBACK, USERS, Credentials, make_credentials
from tests.cluster.kubernetes_api import ApiStatusError, KubernetesApi
from tests.cluster.processes import Server

START_TIMEOUT_S = 180.0
"""It is ready within some 10 s on two idle cores; the rest is for a busy machine."""
SERVICE_RANGE = "10.0.0.0/24"
API_SERVICE = "10.0.0.1"
"""The first address of the range is that of the Service `kubernetes`."""
_KWOK_NODE = "kwok-node"
_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_STAGES = Path(__file__).parent / "kwok.yaml"
_START_ATTEMPTS = 3
_POLL_S = 0.1


class ControlPlaneError(Exception):
    """The control plane did not become ready; the message says which server, and ends with its last words."""


@dataclass(frozen=True)
class Site:
    """Where a control plane serves, and who runs its pods.

    Attributes:
        address: of the API server.
        port: of the API server; 0 is any free one.
        kwok_plays_nodes: there is no real one.
    """

    address: str = LOOPBACK
    port: int = 0
    kwok_plays_nodes: bool = True


PLAYED = Site()


@contextmanager
def running_control_plane(folder: Path, report: Callable[[str], None] = lambda _: None, site: Site = PLAYED) -> Iterator[Path]:
    """Run a control plane, and give the path of its administrator's kubeconfig.

    Its servers end with the context, and also when this thread ends in any other way.

    Args:
        folder: existing and empty; its path is short, because etcd's Unix socket lies in it.
        report: told in one line what takes long.
        site: on loopback with kwok, when left out.

    Raises:
        UnavailableError, BuildError: its programs cannot be had.
        ControlPlaneError: it does not become ready.
    """
    programs = find_or_build([*_PROGRAMS, *(["kwok"] if site.kwok_plays_nodes else [])], report)
    credentials = make_credentials(folder / "credentials", sorted({LOOPBACK, API_SERVICE, site.address}))
    with ExitStack() as context:

        def start(program: str, flags: Sequence[str], stack: ExitStack = context) -> Server:
            return stack.enter_context(Server(program, [str(programs[program]), *flags], folder / f"{program}.log"))

        servers = [start("etcd", _etcd_flags(folder))]
        for attempt in range(_START_ATTEMPTS):
            with ExitStack() as attempted:
                port = site.port or _free_port()
                url = f"https://{site.address}:{port}"
                kubeconfigs = {user: credentials.write_kubeconfig(user, url) for user in USERS}
                api_server = start("kube-apiserver", _api_server_flags(folder, credentials, site.address, port), attempted)
                api = attempted.enter_context(closing(KubernetesApi(kubeconfigs[ADMIN])))
                try:
                    await_servers([*servers, api_server], partial(_is_ready, api))
                except ControlPlaneError:
                    # Somebody took the port between our choosing it and the server's binding it.
                    if "address already in use" in api_server.output and attempt < _START_ATTEMPTS - 1:
                        continue
                    raise
                context.push(attempted.pop_all())
                break
        servers += [
            api_server,
            start("kube-controller-manager", _controller_manager_flags(credentials, kubeconfigs["system:kube-controller-manager"])),
            start("kube-scheduler", _scheduler_flags(kubeconfigs["system:kube-scheduler"])),
        ]
        if site.kwok_plays_nodes:
            servers += [start("kwok", [f"--kubeconfig={kubeconfigs['kwok']}", f"--config={_STAGES}", "--manage-all-nodes=true"])]
            api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": _KWOK_NODE, "labels": {"kubernetes.io/os": "linux"}}})
            await_servers(servers, partial(is_node_ready, api, _KWOK_NODE))
        await_servers(servers, partial(_makes_accounts, api))
        yield kubeconfigs[ADMIN]


def await_servers(servers: Sequence[Server], is_reached: Callable[[], bool]) -> None:
    """Wait until something is reached.

    Raises:
        ControlPlaneError: one of the servers ended, or it takes longer than START_TIMEOUT_S.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_reached():
        ended = next((server for server in servers if server.has_ended), None)
        if ended is not None:
            raise ControlPlaneError(ended.describe())
        if time.monotonic() > deadline:
            states = "\n\n".join(server.describe() for server in servers)
            raise ControlPlaneError(f"the control plane was not ready within {START_TIMEOUT_S:.0f} s\n{states}")
        time.sleep(_POLL_S)


def _is_ready(api: KubernetesApi) -> bool:
    """Whether the API server takes requests, with RBAC's own roles and the namespaces of the system in place."""
    try:
        api.request("GET", "/readyz")
    except (ApiStatusError, urllib3.exceptions.HTTPError):
        return False
    return True


def _makes_accounts(api: KubernetesApi) -> bool:
    """Whether the controller manager works: it makes each namespace's ServiceAccount."""
    try:
        api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    except ApiStatusError:
        return False
    return True


def is_node_ready(api: KubernetesApi, name: str) -> bool:
    """Whether a node takes pods."""
    try:
        node = api.request("GET", f"/api/v1/nodes/{name}").body
    except ApiStatusError:
        return False
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def _etcd_flags(folder: Path) -> list[str]:
    """Reached through Unix sockets in a folder of this user, so no other user of the machine reads the cluster's secrets.

    etcd 3.6 takes no Unix socket for what it would tell clients and members elsewhere; there are none. Nothing outlives the tests, so
    nothing waits for the disk.
    """
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={_etcd_url(folder)}",
        "--listen-peer-urls=unix://peer.sock",  # in its working directory, which is the folder
        f"--advertise-client-urls=http://{LOOPBACK}:2379",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _etcd_url(folder: Path) -> str:
    return f"unix://{folder}/etcd.sock"


def _api_server_flags(folder: Path, credentials: Credentials, address: str, port: int) -> list[str]:
    """Admission of a default installation. Containers may ask for privileges, so that Pod Security is what refuses them."""
    return [
        f"--etcd-servers={_etcd_url(folder)}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={credentials.certificate}",
        f"--tls-private-key-file={credentials.key}",
        f"--token-auth-file={credentials.tokens}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        "--kubelet-preferred-address-types=InternalIP",  # no name server knows the name of the real node
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={credentials.service_account_public_key}",
        f"--service-account-signing-key-file={credentials.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # A loopback address cannot be an endpoint of the Service `kubernetes`.
        *(["--endpoint-reconciler-type=none"] if address == LOOPBACK else []),
    ]


def _controller_manager_flags(credentials: Credentials, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={credentials.service_account_key}",
        f"--root-ca-file={credentials.authority}",
        "--node-monitor-grace-period=1h",  # no node fails here; on a busy machine a heartbeat may be late
        "--leader-elect=false",
        "--secure-port=0",
    ]


def _scheduler_flags(kubeconfig: Path) -> list[str]:
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as chosen:
        chosen.bind((LOOPBACK, 0))
        return int(chosen.getsockname()[1])
