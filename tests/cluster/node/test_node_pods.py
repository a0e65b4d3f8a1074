"""What the other tests of the node stand on: it is the real thing, it keeps to itself, and it goes as a whole."""

import socket
from pathlib import Path

from tests.cluster.binaries import kubernetes_version
from tests.cluster.credentials import NODE as NODE_NAME
from tests.cluster.node.machine import hierarchies
from tests.cluster.node.node_under_test import NodeUnderTest
from tests.cluster.node.workloads import await_end, pod_of_one


def test_it_is_a_kubelet_of_the_version_of_go_mod_on_containerd(node: NodeUnderTest) -> None:
    info = node.real.api.request("GET", f"/api/v1/nodes/{NODE_NAME}").body["status"]["nodeInfo"]
    assert info["kubeletVersion"] == kubernetes_version()
    assert info["containerRuntimeVersion"].startswith("containerd://")


def test_a_pod_is_who_its_manifest_says_and_can_write_nothing(node: NodeUnderTest) -> None:
    api = node.real.api
    look = """
        id -u
        grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status
        touch /etc/x 2>&1 || true
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes
    """
    limited = {"image": node.sandbox, "command": ["sh", "-c", look], "resources": {"limits": {"memory": "64Mi"}}}
    api.create(pod_of_one("default", "looking", limited, restartPolicy="Never"))
    said = await_end(api, "default", "looking")
    assert said.splitlines() == [
        "65532",
        f"CapEff:\t{'0' * 16}",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "touch: cannot touch '/etc/x': Read-only file system",
        str(64 * 2**20),
    ]


def test_nothing_of_the_machine_s_own_is_changed(started_node: NodeUnderTest) -> None:
    """Seen from outside: its network has none of the node's addresses, its mounts are its own, and the kernel is set as it was."""
    pid = started_node.real.pid
    assert Path("/proc/self/ns/net").readlink() != Path(f"/proc/{pid}/ns/net").readlink()
    assert {name for _, name in socket.if_nameindex()}.isdisjoint({"node0", "node1"})
    assert str(started_node.real.folder) not in Path("/proc/self/mounts").read_text()
    ours, theirs = (Path(f"/proc/{process}/root/proc/sys/kernel/panic_on_oops").stat().st_dev for process in ("self", pid))
    assert ours != theirs, "what kubelet insists on lies over the kernel's file, and only for it"
    assert [path for path in hierarchies() if (path / started_node.real.cgroup).exists()], "all of its pods are below one cgroup"
