"""The machine as a node wants to see it, made in mount and network namespaces of its own: nothing here reaches the machine itself.

Kubelet insists on some settings of the kernel that hold for the whole machine. It finds them as it wants them, in files that lie over the
kernel's, and so it never writes one.
"""

import subprocess
from pathlib import Path

from tests.cluster.node.addresses import NODE, OUTSIDE, PODS, PREFIX, SERVICES

CGROUPS = Path("/sys/fs/cgroup")
OUTSIDE_NETWORK = Path("/run/netns/outside")
"""Where `ip` keeps the namespace of the machine outside, in the node's own mounts."""
POLICY_QUEUE = 100
"""Number of the netfilter queue in which packets of pods wait for the policy engine's verdict; its default."""

_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What kubelet sets when it finds anything else (pkg/kubelet/cm, setupKernelTunables)."""

_QUEUED = (
    # Kubelet's probes, which come from this node's own root user.
    ("-m", "owner", "--uid-owner", "0", "-j", "ACCEPT"),
    ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"),
    ("-s", PODS, "-j", "NFQUEUE", "--queue-num", str(POLICY_QUEUE)),
    ("-d", PODS, "-j", "NFQUEUE", "--queue-num", str(POLICY_QUEUE)),
)


def hierarchies() -> list[Path]:
    """Where each hierarchy of cgroups is mounted, with version 1 and what may be beside it of version 2."""
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def make_mounts(folder: Path, cgroup: str) -> None:
    """Give this mount namespace what kubelet and containerd write to.

    Args:
        folder: for what lies over the machine's own files.
        cgroup: the name of the one below which all pods will be.
    """
    _run("mount", "--make-rshared", "/")
    _renew_sysfs(folder / "cgroups")
    _make_cgroups(cgroup)
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    over = folder / "over-var"
    over.mkdir()
    _run("mount", "-t", "tmpfs", "tmpfs", over)
    for name in ("upper", "work"):
        (over / name).mkdir()
    _run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/var,upperdir={over}/upper,workdir={over}/work", "/var")
    settings = folder / "kernel"
    settings.mkdir()
    for name, value in _KERNEL_SETTINGS.items():
        file = settings / name.replace("/", ".")
        file.write_text(f"{value}\n")
        _run("mount", "--bind", file, f"/proc/sys/{name}")


def make_network() -> None:
    """Give this network namespace a loopback, the node's address, forwarding, and the queue in which policies are enforced.

    The policy engine brings rules of its own, by nftables' `queue`. A kernel without that (CONFIG_NFT_QUEUE) refuses them all, so the same
    are made here by the older NFQUEUE; a packet that both send to the queue gets the same verdict twice.
    """
    _run("ip", "link", "set", "lo", "up")
    # A veth pair, because not every kernel has `dummy` links; at its other end is the world outside.
    _run("ip", "netns", "add", OUTSIDE_NETWORK.name)
    _run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "outside0", "netns", OUTSIDE_NETWORK.name)
    _run("ip", "address", "add", f"{NODE}/{PREFIX}", "dev", "node0")
    _run("ip", "link", "set", "node0", "up")
    outside = ("ip", "-netns", OUTSIDE_NETWORK.name)
    _run(*outside, "address", "add", f"{OUTSIDE}/{PREFIX}", "dev", "outside0")
    _run(*outside, "link", "set", "outside0", "up")
    _run(*outside, "route", "add", "default", "via", NODE)
    _run("ip", "route", "add", SERVICES, "dev", "node0")  # until kube-proxy has rewritten its destination
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for rule in _QUEUED:
        _run("iptables", "-t", "mangle", "-A", "POSTROUTING", *rule)


def _renew_sysfs(kept: Path) -> None:
    """A sysfs that shows this network namespace, with the cgroups where they were."""
    kept.mkdir()
    _run("mount", "--rbind", CGROUPS, kept)
    _run("mount", "-t", "sysfs", "sysfs", "/sys")
    _run("mount", "--rbind", kept, CGROUPS)


def _make_cgroups(name: str) -> None:
    for hierarchy in hierarchies():
        own = hierarchy / name
        own.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # empty in a new one, and then no process may enter
            if (own / file).exists():
                (own / file).write_text((hierarchy / file).read_text())


def _run(*command: str | Path) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {finished.stderr.strip()}")
