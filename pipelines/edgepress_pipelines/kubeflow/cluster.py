"""What the Kubernetes API behind KFP tells about a run's chances: is its Secret there, does a node have its accelerator?"""

from collections.abc import Callable, Iterable
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from edgepress.contracts.kubeflow import REQUIRED_CREDENTIALS, Accelerator, KubeflowSettings
from edgepress.errors import InputError

_TIMEOUT_S = (5.0, 15.0)
"""For connecting and for reading."""

Tell = Callable[[str], None]


class Cluster:
    """A cluster that may be read: this pod's own, or one that the user names. Never the one that a kubeconfig happens to have as current.

    Args:
        kube_context: a context of the kubeconfig (``KUBECONFIG``, else ``~/.kube/config``); None takes this pod's ServiceAccount.

    Raises:
        InputError: there is no such context, or this is no pod.
    """

    def __init__(self, kube_context: str | None) -> None:
        try:
            if kube_context is None:
                configuration = client.Configuration()
                config.load_incluster_config(client_configuration=configuration)
                api = client.ApiClient(configuration)
            else:
                api = config.new_client_from_config(context=kube_context)
        except ConfigException as error:
            origin = f"--kube-context {kube_context}" if kube_context is not None else "this pod's ServiceAccount"
            raise InputError(f"{origin}: {' '.join(str(error).split())}") from error
        self._api = client.CoreV1Api(api)

    def check_secret(self, namespace: str, name: str, tell: Tell) -> None:
        """Refuse a Secret with the store's credentials that is missing or incomplete. Its values are neither shown nor kept.

        Raises:
            InputError: it is.
        """
        where = f"Secret {name} in namespace {namespace}"
        try:
            found = self._api.read_namespaced_secret(name, namespace, _request_timeout=_TIMEOUT_S)
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status == 404:
                raise InputError(
                    f"resources.kubeflow.credentials_secret: there is no {where}; create it with {' and '.join(REQUIRED_CREDENTIALS)}"
                ) from error
            tell(f"not checked: {where} ({_why(error)})")
            return
        missing = [key for key in REQUIRED_CREDENTIALS if not (found.data or {}).get(key)]
        if missing:
            raise InputError(f"resources.kubeflow.credentials_secret: {where} has no {' and no '.join(missing)}")

    def check_accelerators(self, settings: KubeflowSettings, tell: Tell) -> None:
        """Refuse accelerators that no node offers in that number.

        Raises:
            InputError: none does.
        """
        wanted = {
            image: resources.accelerator
            for image, resources in (("trainer", settings.trainer), ("evaluator", settings.evaluator), ("releaser", settings.releaser))
            if resources.accelerator is not None
        }
        if not wanted:
            return
        try:
            nodes = self._api.list_node(_request_timeout=_TIMEOUT_S).items
        except (ApiException, HTTPError) as error:
            tell(f"not checked: accelerators of the cluster's nodes ({_why(error)})")
            return
        for image, accelerator in wanted.items():
            if not any(_offers(node, accelerator) for node in nodes):
                raise InputError(
                    f"resources.kubeflow.{image}.accelerator: no node offers {accelerator.count} {accelerator.type}; "
                    f"nodes offer {_offered(nodes) or 'no accelerator'} (--no-cluster-check for nodes that start on demand)"
                )


def _offers(node: Any, accelerator: Accelerator) -> bool:
    return _count(node, accelerator.type) >= accelerator.count


def _count(node: Any, resource: str) -> int:
    quantity = str((node.status.allocatable or {}).get(resource, "0"))
    return int(quantity) if quantity.isdecimal() else 0


def _offered(nodes: Iterable[Any]) -> str:
    """What nodes have beyond processors, memory, disk and pods: resources of device plugins carry a domain."""
    names = sorted({name for node in nodes for name in node.status.allocatable or {} if "/" in name and _count(node, name) > 0})
    return ", ".join(names)


def _why(error: Exception) -> str:
    if isinstance(error, ApiException):
        return "this identity may not read it" if error.status == 403 else f"the Kubernetes API answered {error.status}"
    return "the Kubernetes API cannot be reached"
