"""Everything that can be known to be wrong before something is submitted, found before something is submitted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from edgepress.contracts.config import PipelineConfig
from edgepress.errors import InputError, StorageError, StorageRefusedError
from edgepress.storage import join_key, open_store
from edgepress_pipelines.kubeflow.api.backend import MINIMUM_BACKEND_VERSION
from edgepress_pipelines.kubeflow.api.connection import Connection, is_pod_with_account
from edgepress_pipelines.kubeflow.api.experiments import find_experiment
from edgepress_pipelines.kubeflow.run_parameters import check_cluster_config

if TYPE_CHECKING:
    from edgepress_pipelines.kubeflow.api.cluster import Cluster  # imports the Kubernetes client, which takes a second

MINIMUM_BACKEND = Version(MINIMUM_BACKEND_VERSION)

DEFAULT_NAMESPACE = "kubeflow"
"""Where an installation without users' namespaces runs its pods, unless it was set up otherwise."""


@dataclass(frozen=True)
class ClusterCheck:
    """Whether the Kubernetes API behind KFP is looked at, too.

    Attributes:
        kube_context: of the user's kubeconfig; None takes a pod's own ServiceAccount, where there is one.
        is_left_out: it is not looked at, and the user is not told what could not be checked.

    Raises:
        InputError: a context is named and the check is left out.
    """

    kube_context: str | None = None
    is_left_out: bool = False

    def __post_init__(self) -> None:
        if self.kube_context is not None and self.is_left_out:
            raise InputError("--kube-context and --no-cluster-check: give one of them")


@dataclass(frozen=True)
class Backend:
    """The KFP installation that answers.

    Attributes:
        version: of its API server.
        is_multi_user: each user has a namespace, which every request must name.
        pods_namespace: where a run's pods will be.
    """

    version: Version
    is_multi_user: bool
    pods_namespace: str


def check_backend(connection: Connection, namespace: str | None) -> Backend:
    """Find out which KFP answers, and settle the namespace: afterwards ``connection.namespace`` is what its requests must carry.

    Args:
        connection: to the API.
        namespace: what the configuration says; one that was given with ``--namespace`` goes before it.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
        InputError: something else answers, it is older than ``MINIMUM_BACKEND`` or does not tell its version, or it serves many users and
            no namespace is named.
    """
    # The generated client's model of this answer leaves the version out.
    answer = connection.client.call_api("/apis/v2beta1/healthz", "GET", response_type="object", _return_http_data_only=True)
    if not isinstance(answer, dict) or not {"multi_user", "tag_name", "commit_sha"} & answer.keys():
        raise InputError(f"{connection.host}: answers, but not as Kubeflow Pipelines does; check --host")
    wanted = connection.given_namespace or connection.namespace or namespace
    backend = Backend(
        version=_version(connection.host, answer.get("tag_name")),
        is_multi_user=answer.get("multi_user") is True,
        pods_namespace=wanted or DEFAULT_NAMESPACE,
    )
    if backend.is_multi_user and wanted is None:
        raise InputError(
            f"{connection.host}: serves many users, each in a namespace; name yours with --namespace or resources.kubeflow.namespace"
        )
    # Where there is one user, requests carry no namespace: KFP knows where its runs go.
    connection.namespace = wanted if backend.is_multi_user else None
    return backend


def check_reading(connection: Connection) -> Backend:
    """``check_backend`` for a command that only looks at what is there, and says so when a namespace that was given changes nothing.

    Raises:
        KubeflowError, InputError: as ``check_backend``.
    """
    backend = check_backend(connection, None)
    if connection.given_namespace is not None and not backend.is_multi_user:
        connection.tell(f"{connection.host}: serves one user, so --namespace {connection.given_namespace} changes nothing here")
    return backend


def check_before_start(config: PipelineConfig, connection: Connection, check: ClusterCheck, tell: Callable[[str], None]) -> None:
    """Refuse whatever is known to be wrong before something is submitted; see ``check_run``.

    Raises:
        InputError: something is; or the cluster that the user names cannot be asked.
        KubeflowError: KFP cannot be reached, or refuses.
    """
    cluster = None
    if not check.is_left_out and (check.kube_context is not None or is_pod_with_account()):
        from edgepress_pipelines.kubeflow.api.cluster import Cluster

        cluster = Cluster(check.kube_context)
    check_run(config, connection, cluster, _say_nothing if check.is_left_out else tell)


def check_run(config: PipelineConfig, connection: Connection, cluster: "Cluster | None", tell: Callable[[str], None]) -> Backend:
    """Check whatever a run of this configuration depends on.

    Args:
        cluster: the Kubernetes API behind KFP; None when it cannot be asked from here.
        tell: is given one line for each thing that could not be checked.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses; the namespace may not be read.
        InputError: something is wrong, see ``check_cluster_config`` and ``check_backend``; the store refuses this machine's credentials, or
            has no such bucket; the Secret with the store's credentials is missing or incomplete; or no node offers the accelerators that a
            task asks for.
    """
    storage = check_cluster_config(config)
    backend = check_backend(connection, config.resources.kubeflow.namespace)
    find_experiment(connection, config.resources.kubeflow.experiment)  # what may not be read here, may not be written either
    _check_storage(storage, tell)
    if cluster is None:
        settings = config.resources.kubeflow
        wants_accelerator = any(it.accelerator is not None for it in (settings.trainer, settings.evaluator, settings.releaser))
        tell(
            f"not checked from here: Secret {settings.credentials_secret} in namespace {backend.pods_namespace}"
            f"{', and accelerators of nodes' if wants_accelerator else ''} (--kube-context NAME lets EdgePress look)"
        )
        return backend
    cluster.check_secret(backend.pods_namespace, config.resources.kubeflow.credentials_secret, tell)
    cluster.check_accelerators(config.resources.kubeflow, tell)
    return backend


def _check_storage(uri: str, tell: Callable[[str], None]) -> None:
    """List below the storage once: most of what keeps a run's tasks from it keeps this machine from it, too."""
    try:
        store, prefix = open_store(uri)
        store.exists(join_key(prefix, "verdicts"))
    except StorageRefusedError as error:
        own = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        hint = "" if own else "; a store other than Amazon's is named by AWS_ENDPOINT_URL_S3"
        raise InputError(f"resources.kubeflow.storage_uri: {error}{hint}") from error
    except StorageError as error:  # pods may reach it all the same
        tell(f"not checked from here: the object store ({error})")


def _version(host: str, tag: object) -> Version:
    try:
        version = Version(str(tag))
    except InvalidVersion:
        raise InputError(
            f"{host}: its backend does not tell its version (tag_name is {tag!r}); EdgePress needs KFP {MINIMUM_BACKEND} or newer"
        ) from None
    if version.release < MINIMUM_BACKEND.release:
        raise InputError(f"{host}: its backend is KFP {version}, older than {MINIMUM_BACKEND}; upgrade Kubeflow Pipelines")
    return version


def _say_nothing(line: str) -> None:
    """The user has asked for it."""
