"""A real node: kubelet, kube-proxy, containerd and a policy engine on a control plane of their own, in namespaces of their own.

<folder>/order.json, ready, node.log    what passes between this process and the first one inside
<folder>/<server>.log                   each server's own words

Mounts, network and processes are all the node's own, so nothing of the machine's settings changes and no port of it is taken. The kernel
ends everything together with the one process that `unshare` waits for. What is shared are the machine's cgroups, in which the node has one
of its own, removed afterwards.
"""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import PACKAGES, UnavailableError, find_or_build
from tests.cluster.control_plane import await_servers
from tests.cluster.credentials import ADMIN, credentials_in
from tests.cluster.kubernetes_api import KubernetesApi, Manifest
from tests.cluster.node.configuration import PLUGINS
from tests.cluster.node.inside import Order
from tests.cluster.node.machine import OUTSIDE_NETWORK, hierarchies
from tests.cluster.processes import PATH, Server

ROOT = Path(__file__).parents[3]
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_TOOLS = {
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "buildah": "buildah",
    "podman": "podman",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "unshare": "util-linux",
    str(PLUGINS / "ptp"): "containernetworking-plugins",
}
"""Program: Debian's package that has it. Some build the images without which a node is of no use here."""
_CLONE_NEWNET = 0x40000000
_PREFIX = "edgepress-node-"
"""Of the names of a node's folder and cgroup; the number of the process that started it follows."""
_END_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class RealNode:
    """A node that takes pods.

    Attributes:
        api: of its cluster's administrator; to be used within ``network``.
        kubeconfig: the same as a file.
        folder: with every server's log.
        pid: of the first process inside, as this machine counts.
        cgroup: below which its pods are.
    """

    api: KubernetesApi
    kubeconfig: Path
    folder: Path
    pid: int
    cgroup: str

    @contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread, and what it starts, in the node's network. A socket stays where it was made."""
        with _in_network(Path(f"/proc/{self.pid}/ns/net")):
            yield

    @contextmanager
    def network_outside(self) -> Iterator[None]:
        """Have this thread on the machine outside the cluster."""
        with _in_network(Path(f"/proc/{self.pid}/root") / OUTSIDE_NETWORK.relative_to("/")):
            yield

    @contextmanager
    def network_of(self, pod: Manifest) -> Iterator[None]:
        """Have this thread in the network of a running pod: what it connects to, it connects to from the pod's address."""
        with _in_network(Path(f"/proc/{self._process_of(pod)}/ns/net")):
            yield

    def _process_of(self, pod: Manifest) -> int:
        group = f"/{self.cgroup}/"
        for path in Path("/proc").glob("[0-9]*/cgroup"):
            with suppress(OSError):  # it ended in the meantime
                text = path.read_text()
                if group in text and f"/pod{pod['metadata']['uid']}/" in text:
                    return int(path.parent.name)
        raise LookupError(f"no process of the pod {pod['metadata']['name']} is there")


def unavailable_because() -> str | None:
    """Why no node can be started on this machine, in a few words; None where it can be tried."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "this is not root on Linux"
    missing = sorted({package for program, package in _TOOLS.items() if shutil.which(program, path=PATH) is None})
    if missing:
        return f"these are missing: apt-get install {' '.join(missing)}"
    if not any((hierarchy / "memory.limit_in_bytes").exists() for hierarchy in hierarchies()):
        return "this machine has no cgroups of version 1, the only one that the node was made for"
    return None


def check_available(report: Callable[[str], None] = lambda _: None) -> None:
    """Have all that a node needs beside images: tools, rights and programs.

    Raises:
        UnavailableError: something cannot be had here.
        BuildError: a program cannot be built.
    """
    reason = unavailable_because()
    if reason is not None:
        raise UnavailableError(reason)
    find_or_build(PACKAGES, report)


@contextmanager
def running_node(
    images: Path, sandbox_image: str, registries: tuple[str, ...], report: Callable[[str], None] = lambda _: None
) -> Iterator[RealNode]:
    """Run a node for as long as the context lasts.

    Args:
        images, sandbox_image, registries: as ``Order`` has them.
        report: told in one line what takes long.

    Raises:
        UnavailableError: it cannot be started here.
        BuildError: its programs cannot be built.
        ControlPlaneError: it does not become ready.
    """
    check_available(report)
    _remove_abandoned()
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:{PATH}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path])),
    }
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        folder = Path(name)
        order = Order(folder.name, str(images), sandbox_image, registries)
        order.write(folder)
        command = ["unshare", *_NAMESPACES, sys.executable, "-m", "tests.cluster.node.inside", str(folder)]
        # unshare itself ignores TERM while its child runs.
        server = Server("the node", command, folder / "node.log", environment=environment, stop_signal=signal.SIGKILL)
        try:
            with server:
                await_servers([server], (folder / "ready").exists)
                pid = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])
                kubeconfig = credentials_in(folder / "credentials").kubeconfig_of(ADMIN)
                with closing(KubernetesApi(kubeconfig)) as api:
                    yield RealNode(api, kubeconfig, folder, pid, order.cgroup)
        finally:
            _remove_cgroups(order.cgroup)


@contextmanager
def _in_network(namespace: Path) -> Iterator[None]:
    """setns(2) for this thread, and back."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(namespace, os.O_RDONLY)
        try:
            enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter(before)
    finally:
        os.close(before)


def _remove_cgroups(name: str) -> None:
    """Remove a node's cgroups, which the kernel allows once it has ended every process of the node."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    for hierarchy in hierarchies():
        groups = [hierarchy / name, *(hierarchy / name).rglob("*")]
        for path in sorted((path for path in groups if path.is_dir()), reverse=True):
            while True:
                try:
                    path.rmdir()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)


def _remove_abandoned() -> None:
    """Remove what is left of nodes whose tests were killed."""
    places = [*hierarchies(), Path(tempfile.gettempdir())]
    for name in {path.name for place in places for path in place.glob(f"{_PREFIX}*")}:
        if not Path(f"/proc/{name.removeprefix(_PREFIX).partition('-')[0]}").exists():
            _remove_cgroups(name)
            shutil.rmtree(Path(tempfile.gettempdir()) / name, ignore_errors=True)
