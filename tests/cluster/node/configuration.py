"""What the node's servers are told: containerd, its network plugin, kubelet and kube-proxy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.credentials import NODE as NODE_NAME
from tests.cluster.node.addresses import CLUSTER_DOMAIN, DNS_SERVICE, NODE, PODS, REGISTRY

PLUGINS = Path("/usr/lib/cni")
"""Where Debian's package containernetworking-plugins has them."""

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image}"
# No process may be made less likely to be killed than the one that starts it; in a container only root of the machine may.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{folder}/registries"
"""

_REGISTRY_HOST = """\
server = "http://{registry}"

[host."http://{registry}"]
capabilities = ["pull", "resolve"]
"""


@dataclass(frozen=True)
class NodeFiles:
    """Configuration files below a folder, each written by the method of its name.

    Attributes:
        cgroup: below which all pods are.
    """

    folder: Path
    cgroup: str

    @property
    def socket(self) -> Path:
        """Of containerd."""
        return self.folder / "containerd.sock"

    def containerd(self, sandbox_image: str, registries: tuple[str, ...]) -> Path:
        """containerd's and its network plugin's. Pods are routed, not bridged, so that netfilter sees what one sends to another.

        Args:
            registries: whose images the one registry here holds, whatever they are called elsewhere, e.g. ``docker.io``.
        """
        for name in registries:
            folder = self.folder / "registries" / name
            folder.mkdir(parents=True)
            (folder / "hosts.toml").write_text(_REGISTRY_HOST.format(registry=REGISTRY))
        network = {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
                }
            ],
        }
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "pods.conflist").write_text(json.dumps(network))
        path = self.folder / "containerd.toml"
        path.write_text(_CONTAINERD.format(folder=self.folder, socket=self.socket, plugins=PLUGINS, sandbox_image=sandbox_image))
        return path

    def kubelet(self) -> Path:
        """kubelet's. Whoever reaches its port may use it; the network is the node's own."""
        resolver = self.folder / "resolv.conf"
        resolver.write_text("")
        settings = {
            "address": NODE,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": CLUSTER_DOMAIN,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            # A contributor's machine may be full; nothing is evicted and no image removed while tests run.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "podLogsDir": str(self.folder / "pod-logs"),
            "resolvConf": str(resolver),
        }
        return self._write("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", settings)

    def kube_proxy(self, kubeconfig: Path) -> Path:
        """kube-proxy's. What it would set of connection tracking holds for the whole machine, so it sets nothing."""
        settings = {
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": PODS,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
            "hostnameOverride": NODE_NAME,
            "mode": "nftables",
            "oomScoreAdj": 0,
        }
        return self._write("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", settings)

    def _write(self, api_version: str, kind: str, settings: Mapping[str, Any]) -> Path:
        path = self.folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump({"apiVersion": api_version, "kind": kind, **settings}))
        return path
