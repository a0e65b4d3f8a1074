"""What the Kubernetes API behind KFP tells about a run's chances: is its Secret there, does a node have its accelerator?"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from edgepress.contracts.kubeflow import REQUIRED_CREDENTIALS, Accelerator, KubeflowSettings
from edgepress.errors import InputError, one_line

_TIMEOUT_S = (5.0, 15.0)
"""For connecting and for reading."""

Tell = Callable[[str], None]


class Cluster:
    """A cluster that may be read: this pod's own, or one that the user names. Never the one that a kubeconfig happens to have as current.

    Args:
        kube_context: a context of the kubeconfig (``KUBECONFIG``, else ``~/.kube/config``); None takes this pod's ServiceAccount.

    Raises:
        InputError: there is no such context, its credentials cannot be had, the kubeconfig cannot be read, or this is no pod.
    """

    def __init__(self, kube_context: str | None) -> None:
        self._kube_context = kube_context
        self._api = client.CoreV1Api(_own_api() if kube_context is None else _api_of(kube_context))

    def check_secret(self, namespace: str, name: str, tell: Tell) -> None:
        """Refuse a Secret with the store's credentials that is missing or incomplete. Its values are neither shown nor kept.

        Raises:
            InputError: it is; or the API of a context that the user named does not answer.
        """
        where = f"Secret {name} in namespace {namespace}"
        try:
            found = self._api.read_namespaced_secret(name, namespace, _request_timeout=_TIMEOUT_S)
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status == 404:
                raise InputError(
                    f"resources.kubeflow.credentials_secret: there is no {where}; create it with {' and '.join(REQUIRED_CREDENTIALS)}"
                ) from error
            self._pass_over(where, error, tell)
            return
        missing = [key for key in REQUIRED_CREDENTIALS if not (found.data or {}).get(key)]
        if missing:
            raise InputError(f"resources.kubeflow.credentials_secret: {where} has no {' and no '.join(missing)}")

    def check_accelerators(self, settings: KubeflowSettings, tell: Tell) -> None:
        """Refuse accelerators that no node offers in that number.

        Raises:
            InputError: none does; or the API of a context that the user named does not answer.
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
            self._pass_over("accelerators of the cluster's nodes", error, tell)
            return
        for image, accelerator in wanted.items():
            if not any(_offers(node, accelerator) for node in nodes):
                raise InputError(
                    f"resources.kubeflow.{image}.accelerator: no node offers {accelerator.count} {accelerator.type}; "
                    f"nodes offer {_offered(nodes) or 'no accelerator'} (--no-cluster-check for nodes that start on demand)"
                )

    def _pass_over(self, what: str, error: Exception, tell: Tell) -> None:
        """Go on without a check; but whoever names a context has asked for it, and gets it unless that identity may not look."""
        if self._kube_context is not None and not (isinstance(error, ApiException) and error.status == 403):
            raise InputError(
                f"--kube-context {self._kube_context}: {what} cannot be checked, {_why(error)}; "
                "check the context, or give --no-cluster-check instead"
            ) from error
        tell(f"not checked: {what} ({_why(error)})")


def _own_api() -> client.ApiClient:
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise InputError(f"this pod's ServiceAccount: {one_line(error)}") from error
    return client.ApiClient(configuration)


def _api_of(kube_context: str) -> client.ApiClient:
    origin, kubeconfig = f"--kube-context {kube_context}", kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    failures = _Failures()
    root = logging.getLogger()
    root.addHandler(failures)
    try:
        known = [str(context["name"]) for context in config.list_kube_config_contexts()[0]]
        if kube_context not in known:
            raise InputError(f"{origin}: {kubeconfig} has no such context; there are: {', '.join(known)}")
        api = config.new_client_from_config(context=kube_context)
    except InputError:
        raise
    except Exception as error:  # a file that is no kubeconfig fails in the library wherever that happens to notice
        raise InputError(f"{origin}: {kubeconfig}: is no usable kubeconfig ({one_line(error)})") from error
    finally:
        root.removeHandler(failures)
    if failures.lines:
        raise InputError(f"{origin}: {kubeconfig}: gives no credentials ({failures.lines[0]})")
    return api


class _Failures(logging.Handler):
    """Keeps what the library logs as errors: that a plugin for credentials is missing or fails is told in no other way.

    While a handler is there the library's bare ``logging.error`` sets up none that writes to the terminal.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(one_line(record.getMessage()))


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
