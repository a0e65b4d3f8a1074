"""The addresses of the one node, in a network that is its own (RFC 1918)."""

from tests.cluster.control_plane import SERVICE_RANGE

NODE = "10.200.0.1"
OUTSIDE = "10.200.0.2"
"""Of the one machine outside the cluster."""
PREFIX = 24
"""Length of the network's prefix that both are in."""
PODS = "10.244.0.0/24"
SERVICES = SERVICE_RANGE
DNS_SERVICE = "10.0.0.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
REGISTRY = "127.0.0.1:5000"
