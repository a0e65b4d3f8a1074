"""The first process of the node's namespaces: ``real_node.running_node`` starts it there, and ends all by ending it.

    python -m tests.cluster.node.inside FOLDER

FOLDER holds ``order.json`` (``Order``), and gets every server's files and logs, and ``ready`` when the node takes pods.
"""

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

from tests.cluster.binaries import find_or_build
from tests.cluster.control_plane import ControlPlaneError, Site, await_servers, is_node_ready, running_control_plane
from tests.cluster.credentials import NODE as NODE_NAME
from tests.cluster.credentials import NODE_USER, POLICY_ENGINE, Credentials, credentials_in
from tests.cluster.kubernetes_api import KubernetesApi
from tests.cluster.node.addresses import API_PORT, NODE, REGISTRY
from tests.cluster.node.configuration import NodeFiles
from tests.cluster.node.machine import make_mounts, make_network
from tests.cluster.processes import Server
from tests.images.registry import write_configuration

PROGRAMS = ("kubelet", "kube-proxy", "kube-network-policies")
_ACCOUNT = Path("/run/secrets/kubernetes.io/serviceaccount")
"""Where the policy engine looks for the API server, as a program in a pod does; /run is a file system of this namespace."""


@dataclass(frozen=True)
class Order:
    """What the node is to be.

    Attributes:
        cgroup: below which all pods will be.
        images: what the registry holds: a folder.
        sandbox_image: that holds each pod's namespaces.
        registries: names under which images of the registry are asked for.
    """

    cgroup: str
    images: str
    sandbox_image: str
    registries: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """For the process inside."""
        (folder / "order.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was ordered."""
        order = json.loads((folder / "order.json").read_text())
        return cls(**order | {"registries": tuple(order["registries"])})


def run_node(folder: Path) -> None:
    """Start everything, say that it is ready, and stay."""
    order = Order.read(folder)
    make_mounts(folder, order.cgroup)
    make_network()
    programs = find_or_build(PROGRAMS)
    site = Site(NODE, API_PORT, kwok_plays_nodes=False)
    with ExitStack() as context:
        kubeconfig = context.enter_context(running_control_plane(folder, site=site))
        credentials = credentials_in(kubeconfig.parent)
        files = NodeFiles(folder, order.cgroup)

        def start(name: str, command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Server:
            server = Server(name, [str(part) for part in command], folder / f"{name}.log", environment=environment)
            return context.enter_context(server)

        write_account(credentials)
        reached = {"KUBERNETES_SERVICE_HOST": NODE, "KUBERNETES_SERVICE_PORT": str(API_PORT)}
        registry = write_configuration(folder, Path(order.images), REGISTRY, is_read_only=True)
        servers = [
            start("registry", ["docker-registry", "serve", registry]),
            start("containerd", ["containerd", "--config", files.containerd(order.sandbox_image, order.registries)]),
            start("kube-proxy", [programs["kube-proxy"], "--config", files.kube_proxy(credentials.kubeconfig_of("system:kube-proxy"))]),
            start("policies", [programs["kube-network-policies"], f"--hostname-override={NODE_NAME}"], reached),
            start("kubelet", [programs["kubelet"], *kubelet_flags(files, credentials)]),
        ]
        with closing(KubernetesApi(kubeconfig)) as api:
            await_servers(servers, partial(is_node_ready, api, NODE_NAME))
        (folder / "ready").touch()
        while True:
            signal.pause()


def kubelet_flags(files: NodeFiles, credentials: Credentials) -> list[str]:
    return [
        f"--config={files.kubelet()}",
        f"--kubeconfig={credentials.kubeconfig_of(NODE_USER)}",
        f"--root-dir={files.folder / 'kubelet'}",
        f"--cert-dir={files.folder / 'kubelet-certificates'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE}",
    ]


def write_account(credentials: Credentials) -> None:
    """The policy engine's way to the API server."""
    _ACCOUNT.mkdir(parents=True)
    (_ACCOUNT / "token").write_text(credentials.token_of(POLICY_ENGINE))
    (_ACCOUNT / "ca.crt").write_bytes(credentials.authority.read_bytes())


def main() -> int:
    """Give the exit code; it only ever ends when something failed."""
    try:
        run_node(Path(sys.argv[1]))
    except (ControlPlaneError, OSError) as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
