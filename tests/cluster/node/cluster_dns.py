"""Cluster DNS: dnsmasq in a pod where every cluster has it, answering with the names of the Services that there are."""

from tests.cluster.kubernetes_api import KubernetesApi
from tests.cluster.node.addresses import CLUSTER_DOMAIN, DNS_SERVICE
from tests.cluster.node.workloads import await_running, pod_of_one

_LABELS = {"k8s-app": "kube-dns"}
_PORTS = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]


def serve_cluster_dns(api: KubernetesApi, image: str) -> None:
    """Start it; Services that are made afterwards have no name."""
    services = api.request("GET", "/api/v1/services").body["items"]
    addresses = {
        f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.{CLUSTER_DOMAIN}": service["spec"]["clusterIP"]
        for service in services
        if service["spec"]["clusterIP"] != "None"
    }
    records = [f"--host-record={name},{address}" for name, address in addresses.items()]
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "kube-system", "name": "kube-dns"},
            "spec": {"clusterIP": DNS_SERVICE, "selector": _LABELS, "ports": _PORTS},
        }
    )
    command = [
        "dnsmasq",
        "--keep-in-foreground",
        "--log-facility=-",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        f"--local=/{CLUSTER_DOMAIN}/",
    ]
    # It opens a port below 1024, and so runs as nodes' own pods do.
    container = {"image": image, "command": [*command, *records], "securityContext": {}}
    api.create(pod_of_one("kube-system", "dns", container, _LABELS))
    await_running(api, "kube-system", "dns")
