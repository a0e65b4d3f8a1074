"""The command ``trigger``: one check, or with ``--listen`` one for each burst of events."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepress.errors import EXIT_DONE
from edgepress_pipelines.commands.arguments import DEFAULT_IMAGES, ImagesOption, show_error
from edgepress_pipelines.commands.kubeflow_options import ClusterOptions, ConfigOptions, ConnectionOptions, tell
from edgepress_pipelines.commands.option_groups import takes_groups

if TYPE_CHECKING:
    from edgepress.telemetry import CheckOutcome
    from edgepress_pipelines.trigger.check import TriggerRequest

logger = logging.getLogger(__name__)

_DEBOUNCE_S = 10.0


@takes_groups
def trigger(
    *,
    given: ConfigOptions,
    force: Annotated[
        bool, typer.Option("--force", help="Start although nothing has changed, or although runs with this change failed or fell silent.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Receive events of S3 and Alertmanager, and check after each burst of them.",
            show_default=False,
        ),
    ] = None,
    listen_status: Annotated[
        str | None,
        typer.Option(
            "--listen-status",
            metavar="HOST:PORT",
            help="With --listen: answer /healthz, /readyz and /metrics here, to anybody.",
            show_default=False,
        ),
    ] = None,
    receiver_token_file: Annotated[
        Path | None,
        typer.Option(
            "--receiver-token-file",
            metavar="FILE",
            help="With --listen: bearer tokens that senders of events must have, one a line; read anew for each request.",
            show_default=False,
        ),
    ] = None,
    debounce_s: Annotated[
        float | None,
        typer.Option(
            "--debounce-s",
            metavar="SECONDS",
            min=0.0,
            max=600.0,
            help="With --listen: quiet after an event before a check.",
            show_default=str(_DEBOUNCE_S),
        ),
    ] = None,
    images: ImagesOption = DEFAULT_IMAGES,
    kubeflow: ConnectionOptions,
    cluster: ClusterOptions,
) -> None:
    """Start a run on Kubeflow if the dataset, the code or the configuration has changed since the last verdict.

    Exit codes: 0 a run was started or none is due, 2 the input is wrong, 1 anything else, also when runs with this change keep failing.
    """
    from edgepress.errors import InputError
    from edgepress_pipelines.kubeflow.api.connection import Connection
    from edgepress_pipelines.kubeflow.image_lock import read_image_lock
    from edgepress_pipelines.trigger.check import TriggerRequest, check
    from edgepress_pipelines.trigger.metrics import push_trigger
    from edgepress_pipelines.trigger.start import check_trigger_config

    request = TriggerRequest(
        config=given.config,
        overrides=tuple(given.overrides),
        image_lock=images,
        connection=kubeflow.settings(tell if listen is None else logger.warning),
        cluster_check=cluster.check(),
    )
    settings = request.load()
    if listen is not None:
        if receiver_token_file is None:
            raise InputError("--listen: whoever can reach it could start runs; name the senders' token with --receiver-token-file FILE")
        if force:
            raise InputError("--force: is for one check; drop it, or --listen")
        check_trigger_config(settings)
        read_image_lock(images)
        Connection(request.connection)  # mistakes show before anybody is listened to
        raise typer.Exit(
            _receive(request, settings.name, listen, listen_status, receiver_token_file, _DEBOUNCE_S if debounce_s is None else debounce_s)
        )
    receiving = {"--receiver-token-file": receiver_token_file, "--listen-status": listen_status, "--debounce-s": debounce_s}
    for option, value in receiving.items():
        if value is not None:
            raise InputError(f"{option}: belongs to --listen HOST:PORT")
    outcome = check(request, force=force, tell=tell)
    if outcome.exit_code == EXIT_DONE:
        typer.echo(outcome.message if outcome.url is None else f"{outcome.message}\n{outcome.url}")
        if (problem := push_trigger(settings.name, started=outcome.started_run_id is not None)) is not None:
            typer.echo(problem, err=True)
    else:
        show_error(outcome.message)
    raise typer.Exit(outcome.exit_code)


def _receive(request: "TriggerRequest", name: str, listen: str, listen_status: str | None, token_file: Path, debounce_s: float) -> int:
    from edgepress.errors import EdgePressError
    from edgepress_pipelines.trigger.check import check
    from edgepress_pipelines.trigger.receiver.pending import Delays
    from edgepress_pipelines.trigger.receiver.serve import LISTEN_OPTION, STATUS_OPTION, ReceiverSettings, parse_address, serve
    from edgepress_pipelines.trigger.watched_configuration import WatchedConfiguration

    def look() -> "CheckOutcome":
        outcome = check(request, force=False, tell=logger.info)
        if outcome.exit_code != EXIT_DONE:
            raise EdgePressError(outcome.message)
        logger.info(outcome.message, extra=_fields(outcome.started_run_id))
        return "started" if outcome.started_run_id is not None else "unchanged"

    settings = ReceiverSettings(
        address=parse_address(LISTEN_OPTION, listen),
        status_address=None if listen_status is None else parse_address(STATUS_OPTION, listen_status),
        token_file=token_file,
        delays=Delays(debounce_s=debounce_s),
    )
    return serve(settings, name, look, WatchedConfiguration(request.config, request.load).sources)


def _fields(run_id: str | None) -> dict[str, Any]:
    return {} if run_id is None else {"run": run_id}
