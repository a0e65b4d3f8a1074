"""The commands that talk to Kubeflow Pipelines: ``submit``, ``upload``, ``schedule …`` and ``runs …``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepress.errors import EXIT_DONE, EXIT_FAILED
from edgepress_pipelines.cli_arguments import (
    DEFAULT_WORKDIR,
    ConfigArgument,
    PlainOption,
    SetOption,
    WorkdirOption,
    end_with,
    make_console,
    show_error,
)

if TYPE_CHECKING:
    from edgepress.contracts.config import PipelineConfig
    from edgepress_pipelines.kubeflow.connection import Connection
    from edgepress_pipelines.kubeflow.run_record import RunRecord

HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="URL",
        envvar="EDGEPRESS_KFP_HOST",
        help="Kubeflow Pipelines' API, e.g. https://kubeflow.example.org/pipeline. In a pod: the installation's own.",
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
        help="A bearer token, read anew for each request. EDGEPRESS_KFP_TOKEN may hold one instead; a pod uses its own.",
    ),
]
CookieFileOption = Annotated[
    Path | None,
    typer.Option("--cookie-file", metavar="FILE", help="A session cookie as name=value. EDGEPRESS_KFP_COOKIE may hold one instead."),
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

schedule = typer.Typer(no_args_is_help=True, help="Start runs at fixed times: the configuration's `schedule`, kept by Kubeflow.")
runs = typer.Typer(no_args_is_help=True, help="Look at runs on Kubeflow.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(submit)
    app.command()(upload)
    app.add_typer(schedule, name="schedule")
    app.add_typer(runs, name="runs")


def submit(
    config: ConfigArgument,
    overrides: SetOption = [],  # noqa: B006  typer copies it
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end and fetch its results.")] = False,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    plain: PlainOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
    kube_context: KubeContextOption = None,
    no_cluster_check: NoClusterCheckOption = False,
) -> None:
    """Start a run on Kubeflow.

    Exit codes: with --wait those of `run`: 0 released, 10 rejected, 11 inconclusive; else 0 started. 2 the input is wrong and nothing was
    started, 1 anything else.
    """
    settings = _load(config, overrides)
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)
    console = make_console()

    from edgepress_pipelines.kubeflow.package import compiled
    from edgepress_pipelines.kubeflow.run_record import read_run
    from edgepress_pipelines.kubeflow.submit import submit_run

    _check(settings, connection, kube_context, no_cluster_check)
    with compiled(settings) as package:
        submitted = submit_run(settings, connection, package)
    typer.echo(f"run {submitted.run_id} ({submitted.name})\n{submitted.url}")
    if wait:
        _follow(console, connection, read_run(connection, submitted.run_id), workdir, plain)


def upload(
    config: ConfigArgument,
    overrides: SetOption = [],  # noqa: B006  typer copies it
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Upload the compiled pipeline as a version named by its content, unless it is there."""
    settings = _load(config, overrides)
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress_pipelines.kubeflow.package import compiled
    from edgepress_pipelines.kubeflow.preflight import check_backend
    from edgepress_pipelines.kubeflow.upload import PIPELINE_NAME, upload_version

    check_backend(connection, settings.resources.kubeflow.namespace)
    with compiled(settings) as package:
        version = upload_version(connection, package.pipeline, f"EdgePress: {settings.name}")
    typer.echo(f"{PIPELINE_NAME} {version.name}: {'uploaded' if version.is_new else 'there already, nothing uploaded'}")


@schedule.command("create")
def create_schedule(
    config: ConfigArgument,
    overrides: SetOption = [],  # noqa: B006  typer copies it
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
    kube_context: KubeContextOption = None,
    no_cluster_check: NoClusterCheckOption = False,
) -> None:
    """Have the configuration's schedule on Kubeflow. The same again changes nothing; another content replaces it."""
    settings = _load(config, overrides)
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress.errors import ConfigError
    from edgepress_pipelines.kubeflow import schedule as schedules
    from edgepress_pipelines.kubeflow.package import compiled

    if settings.schedule is None:
        raise ConfigError(f"{config}: has no schedule; add one, e.g. schedule: {{cron: '0 3 * * *'}}")
    _check(settings, connection, kube_context, no_cluster_check)
    with compiled(settings) as package:
        creation = schedules.create_schedule(settings, connection, package)
    did = {"created": "created", "replaced": "replaced", "nothing": "is there already with this content, nothing changed"}[creation.did]
    paused = "" if creation.schedule.is_enabled else " (paused)"
    typer.echo(f"schedule {creation.schedule.name}{paused}: {did}; {creation.schedule.cron} UTC")


@schedule.command("list")
def list_schedules(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """List EdgePress's schedules."""
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from rich.table import Table

    from edgepress_pipelines.kubeflow.preflight import check_backend
    from edgepress_pipelines.kubeflow.schedule import find_schedules

    check_backend(connection, None)
    found = find_schedules(connection)
    if not found:
        typer.echo("no schedules")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("name", "state", "cron (UTC)", "runs at a time", "catch-up"):
        table.add_column(heading, no_wrap=True)
    for item in found:
        state = "enabled" if item.is_enabled else "paused"
        table.add_row(item.name, state, item.cron, str(item.max_concurrency), "yes" if item.catch_up else "no")
    make_console().print(table)


@schedule.command("pause")
def pause_schedule(
    name: ScheduleArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Keep a schedule from starting runs; those that go on are left alone."""
    from edgepress_pipelines.kubeflow import schedule as schedules

    _change(schedules.pause_schedule, name, _connect(host, namespace, token_file, cookie_file, ca_file), "paused", "was paused already")


@schedule.command("resume")
def resume_schedule(
    name: ScheduleArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Let a paused schedule start runs again."""
    from edgepress_pipelines.kubeflow import schedule as schedules

    _change(schedules.resume_schedule, name, _connect(host, namespace, token_file, cookie_file, ca_file), "resumed", "was not paused")


@schedule.command("delete")
def delete_schedule(
    name: ScheduleArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Remove a schedule. One that is not there is said, and no error."""
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress_pipelines.kubeflow import schedule as schedules

    wanted = _settle(name, connection)
    found = schedules.delete_schedule(connection, wanted)
    typer.echo(f"schedule {wanted}: {'deleted' if found else 'there was none'}")


@runs.command("list")
def list_runs(
    experiment: Annotated[str, typer.Option("--experiment", metavar="NAME", help="The experiment to list.")] = "edgepress",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many of the newest.")] = 20,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """List the newest runs, with their verdicts where the object store can be read from here."""
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress_pipelines.kubeflow import runs as listing
    from edgepress_pipelines.kubeflow.preflight import check_backend

    check_backend(connection, None)
    listing.show_runs(make_console(), listing.list_runs(connection, experiment, limit, _tell))


@runs.command("logs")
def show_logs(
    run: RunArgument,
    task: Annotated[
        str | None,
        typer.Argument(metavar="TASK", help="A task, e.g. train or quantize.int8; without one, what there is.", show_default=False),
    ] = None,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Print a task's log from the run's folder in the object store (AWS_* variables say who asks)."""
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress.errors import InputError
    from edgepress_pipelines.kubeflow.preflight import check_backend
    from edgepress_pipelines.kubeflow.run_folder import RunFolder
    from edgepress_pipelines.kubeflow.run_record import read_run

    check_backend(connection, None)
    record = read_run(connection, run)
    if record.storage_uri is None:
        raise InputError(f"run {run}: its parameters do not say where its logs are; see {connection.run_url(record.run_id)}")
    folder = RunFolder(record.storage_uri, record.run_id)
    if task is not None:
        typer.echo(folder.read_log(task), nl=False)
        return
    names = folder.log_names()
    typer.echo("\n".join(names) if names else f"{folder.uri}: no task has written a log yet")


@runs.command("follow")
def follow(
    run: RunArgument,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    plain: PlainOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Follow a run to its end and fetch its results; exit codes as `run`."""
    connection = _connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress_pipelines.kubeflow.preflight import check_backend
    from edgepress_pipelines.kubeflow.run_record import read_run

    check_backend(connection, None)
    _follow(make_console(), connection, read_run(connection, run), workdir, plain)


def _follow(console: Any, connection: "Connection", run: "RunRecord", workdir: Path, plain: bool) -> None:
    from edgepress_pipelines.display import choose_display
    from edgepress_pipelines.kubeflow.errors import KubeflowError
    from edgepress_pipelines.kubeflow.follow import follow_run

    again = f"the run goes on; follow it again with: edgepress runs follow {run.run_id}"
    try:
        with choose_display(console, f"EdgePress  {run.pipeline or run.name}", plain=plain) as display:
            outcome = follow_run(connection, run, workdir, display)
    except KeyboardInterrupt:
        show_error(f"interrupted; {again}")
        raise typer.Exit(EXIT_FAILED) from None
    except KubeflowError as error:
        show_error(f"{error}; {again}")
        raise typer.Exit(EXIT_FAILED) from None
    end_with(console, outcome)


def _load(config: Path, overrides: list[str]) -> "PipelineConfig":
    from edgepress_pipelines.config_file import load_config

    return load_config(config, overrides)


def _connect(
    host: str | None, namespace: str | None, token_file: Path | None, cookie_file: Path | None, ca_file: Path | None
) -> "Connection":
    from edgepress_pipelines.kubeflow.connection import Connection, ConnectionSettings

    return Connection(ConnectionSettings(host=host, namespace=namespace, token_file=token_file, cookie_file=cookie_file, ca_file=ca_file))


def _check(settings: "PipelineConfig", connection: "Connection", kube_context: str | None, no_cluster_check: bool) -> None:
    from edgepress_pipelines.kubeflow.connection import in_cluster
    from edgepress_pipelines.kubeflow.preflight import check_run

    cluster = None
    if not no_cluster_check and (kube_context is not None or in_cluster()):
        from edgepress_pipelines.kubeflow.cluster import Cluster

        cluster = Cluster(kube_context)
    check_run(settings, connection, cluster, _tell)


def _settle(name: str, connection: "Connection") -> str:
    """The schedule's name, and a connection that is ready to ask for it."""
    from edgepress_pipelines.kubeflow.preflight import check_backend

    if name.endswith((".yaml", ".yml")):
        settings = _load(Path(name), [])
        check_backend(connection, settings.resources.kubeflow.namespace)
        return settings.name
    check_backend(connection, None)
    return name


def _change(change: Any, name: str, connection: "Connection", done: str, unchanged: str) -> None:
    """Pause or resume."""
    from edgepress.errors import InputError
    from edgepress_pipelines.kubeflow.schedule import find_schedules

    wanted = _settle(name, connection)
    changed = change(connection, wanted)
    if not changed and not find_schedules(connection, wanted):
        raise InputError(f"{connection.host}: there is no schedule {wanted!r}; `edgepress schedule list` shows what there is")
    typer.echo(f"schedule {wanted}: {done if changed else unchanged}")
    raise typer.Exit(EXIT_DONE)


def _tell(line: str) -> None:
    typer.echo(line, err=True)
