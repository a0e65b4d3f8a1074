"""The custom resources that the manifests use, as the project that defines them publishes them, so that they are checked for real."""

from pathlib import Path
from typing import Any

import yaml

from tests.cluster.binaries import downloaded
from tests.cluster.kubernetes_api import KubernetesApi

MODULE = Path(__file__).parent / "crds"
OPERATOR = "github.com/prometheus-operator/prometheus-operator"
MONITORING = "monitoring.coreos.com/v1"
_FILES = ("monitoring.coreos.com_servicemonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml")


def install_custom_resources(api: KubernetesApi) -> None:
    """Have ServiceMonitor and PrometheusRule served by a cluster of our own.

    Raises:
        UnavailableError: Go's module proxy does not serve their definitions.
    """
    folder = downloaded(MODULE, OPERATOR) / "example" / "prometheus-operator-crd"
    names = set()
    for file in _FILES:
        definition: dict[str, Any] = yaml.safe_load((folder / file).read_text())
        api.apply(definition)
        names.add(definition["metadata"]["name"])

    def all_served(definitions: list[dict[str, Any]]) -> bool | None:
        established = {
            definition["metadata"]["name"]
            for definition in definitions
            for condition in definition.get("status", {}).get("conditions") or ()
            if condition["type"] == "Established" and condition["status"] == "True"
        }
        return True if names <= established else None

    api.watch(api.path("apiextensions.k8s.io/v1", "CustomResourceDefinition"), all_served)
