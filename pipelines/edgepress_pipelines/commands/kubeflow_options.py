"""Options that the commands for Kubeflow share, and what they have in common when they begin."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepress_pipelines.kubeflow.api.variables import COOKIE_VARIABLE, HOST_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from edgepress.contracts.config import PipelineConfig
    from edgepress_pipelines.kubeflow.api.connection import Connection
    from edgepress_pipelines.kubeflow.image_lock import ImageLock

HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="URL",
        help="Kubeflow Pipelines' API, e.g. https://kubeflow.example.org/pipeline. "
        f"{HOST_VARIABLE} may hold it instead; in a pod: the installation's own.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Your profile's namespace, where Kubeflow serves many users.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help=f"A bearer token, read anew for each request. {TOKEN_VARIABLE} may hold one instead; a pod uses its own.",
    ),
]
CookieFileOption = Annotated[
    Path | None,
    typer.Option("--cookie-file", metavar="FILE", help=f"A session cookie as name=value. {COOKIE_VARIABLE} may hold one instead."),
]
CaFileOption = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates (PEM) to trust instead of the public authorities.")
]
KubeContextOption = Annotated[
    str | None,
    typer.Option(
        "--kube-context",
        metavar="NAME",
        help="A context of your kubeconfig for the cluster behind KFP, to check its Secret and accelerators. In a pod: its own cluster.",
    ),
]
NoClusterCheckOption = Annotated[
    bool, typer.Option("--no-cluster-check", help="Check neither Secret nor accelerators, e.g. when nodes start on demand.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's identifier or name.", show_default=False)]
ScheduleArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the schedule, or its configuration's file.", show_default=False)
]


def load(config: Path, overrides: list[str]) -> "PipelineConfig":
    """The configuration; see ``load_config``."""
    from edgepress_pipelines.config.file import load_config

    return load_config(config, overrides)


def load_with_images(config: Path, overrides: list[str], images: Path) -> "tuple[PipelineConfig, ImageLock]":
    """The configuration and the image lock: what can be wrong on this machine, before anybody is asked."""
    from edgepress_pipelines.kubeflow.image_lock import read_image_lock

    return load(config, overrides), read_image_lock(images)


def connect(
    host: str | None, namespace: str | None, token_file: Path | None, cookie_file: Path | None, ca_file: Path | None
) -> "Connection":
    """A connection as the options say; nobody has been contacted yet."""
    from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings

    return Connection(
        ConnectionSettings(host=host, namespace=namespace, token_file=token_file, cookie_file=cookie_file, ca_file=ca_file, tell=tell)
    )


def repeated_options(context: typer.Context, connection: "Connection") -> str:
    """The options that reach the same Kubeflow and working directory again, as they were given; what came from variables still does.

    Args:
        context: of the command that is running.
        connection: whose namespace has been settled, so that one from a configuration is there where it is needed.
    """
    given = {
        name: context.params[name]
        for name in ("host", "namespace", "token_file", "cookie_file", "ca_file", "workdir")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    if connection.namespace is not None:
        given["namespace"] = connection.namespace
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())


def tell(line: str) -> None:
    """A line for the user that is not the command's result."""
    typer.echo(line, err=True)


def check(
    settings: "PipelineConfig",
    connection: "Connection",
    kube_context: str | None,
    no_cluster_check: bool,
    tell: Callable[[str], None] = tell,
) -> None:
    """Refuse whatever is known to be wrong before something is submitted; see ``check_run``."""
    from edgepress_pipelines.kubeflow.api.connection import is_pod_with_account
    from edgepress_pipelines.kubeflow.api.preflight import check_run

    refuse_both(kube_context, no_cluster_check)
    cluster = None
    if not no_cluster_check and (kube_context is not None or is_pod_with_account()):
        from edgepress_pipelines.kubeflow.api.cluster import Cluster

        cluster = Cluster(kube_context)
    check_run(settings, connection, cluster, _say_nothing if no_cluster_check else tell)


def refuse_both(kube_context: str | None, no_cluster_check: bool) -> None:
    """Refuse a check that is asked for and forbidden."""
    if kube_context is not None and no_cluster_check:
        from edgepress.errors import InputError

        raise InputError("--kube-context and --no-cluster-check: give one of them")


def _say_nothing(line: str) -> None:
    """The user has asked for it."""
