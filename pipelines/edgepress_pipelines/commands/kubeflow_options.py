"""Options that the commands for Kubeflow share, each declared here and nowhere else."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepress_pipelines.commands.arguments import ConfigArgument, SetOption
from edgepress_pipelines.kubeflow.api.variables import COOKIE_VARIABLE, HOST_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from edgepress.contracts.config import PipelineConfig
    from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings
    from edgepress_pipelines.kubeflow.image_lock import ImageLock
    from edgepress_pipelines.kubeflow.preflight import ClusterCheck

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's identifier or name.", show_default=False)]
ScheduleArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the schedule, or its configuration's file.", show_default=False)
]


def tell(line: str) -> None:
    """A line for the user that is not the command's result."""
    typer.echo(line, err=True)


@dataclass(frozen=True)
class ConfigOptions:
    """Which configuration."""

    config: ConfigArgument
    overrides: SetOption = field(default_factory=list)

    def load(self) -> "PipelineConfig":
        """The configuration; see ``load_config``."""
        from edgepress_pipelines.config.file import load_config

        return load_config(self.config, self.overrides)

    def load_with_images(self, images: Path) -> "tuple[PipelineConfig, ImageLock]":
        """The configuration and the image lock: what can be wrong on this machine, before anybody is asked."""
        from edgepress_pipelines.kubeflow.image_lock import read_image_lock

        return self.load(), read_image_lock(images)


@dataclass(frozen=True)
class ConnectionOptions:
    """Where Kubeflow Pipelines is, and who asks."""

    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="URL",
            help="Kubeflow Pipelines' API, e.g. https://kubeflow.example.org/pipeline. "
            f"{HOST_VARIABLE} may hold it instead; in a pod: the installation's own.",
        ),
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            metavar="NAME",
            help="Your profile's namespace, where Kubeflow serves many users; else that of its pods, to look for the Secret in.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help=f"A bearer token, read anew for each request. {TOKEN_VARIABLE} may hold one instead; a pod uses its own.",
        ),
    ] = None
    cookie_file: Annotated[
        Path | None,
        typer.Option("--cookie-file", metavar="FILE", help=f"A session cookie as name=value. {COOKIE_VARIABLE} may hold one instead."),
    ] = None
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates (PEM) to trust instead of the public authorities.")
    ] = None

    def settings(self, tell: Callable[[str], None] = tell) -> "ConnectionSettings":
        """What the options say about a connection; ``tell`` is given one line when something keeps the user waiting."""
        from edgepress_pipelines.kubeflow.api.connection import ConnectionSettings

        return ConnectionSettings(**{option.name: getattr(self, option.name) for option in fields(self)}, tell=tell)

    def connect(self) -> "Connection":
        """A connection as the options say; nobody has been contacted yet."""
        from edgepress_pipelines.kubeflow.api.connection import Connection

        return Connection(self.settings())


@dataclass(frozen=True)
class ClusterOptions:
    """Whether the cluster behind Kubeflow Pipelines is looked at before something is started."""

    kube_context: Annotated[
        str | None,
        typer.Option(
            "--kube-context",
            metavar="NAME",
            help="A context of your kubeconfig for the cluster behind KFP, to check its Secret and accelerators. "
            "In a pod: its own cluster.",
        ),
    ] = None
    no_cluster_check: Annotated[
        bool, typer.Option("--no-cluster-check", help="Check neither Secret nor accelerators, e.g. when nodes start on demand.")
    ] = False

    def check(self) -> "ClusterCheck":
        """What is looked at.

        Raises:
            InputError: a check is asked for and forbidden.
        """
        from edgepress_pipelines.kubeflow.preflight import ClusterCheck

        return ClusterCheck(kube_context=self.kube_context, is_left_out=self.no_cluster_check)


def repeated_options(context: typer.Context, connection: "Connection") -> str:
    """The options that reach the same Kubeflow and working directory again, as they were given; what came from variables still does.

    Args:
        context: of the command that is running.
        connection: whose namespace has been settled, so that one from a configuration is there where it is needed.
    """
    given = {
        name: context.params[name]
        for name in (*(option.name for option in fields(ConnectionOptions)), "workdir")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    if connection.namespace is not None:
        given["namespace"] = connection.namespace
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())
