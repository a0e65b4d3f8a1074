"""``edgepress schedule …``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgepress_pipelines.commands.arguments import DEFAULT_IMAGES, ConfigArgument, ImagesOption, SetOption, make_console
from edgepress_pipelines.commands.kubeflow_options import (
    CaFileOption,
    CookieFileOption,
    HostOption,
    KubeContextOption,
    NamespaceOption,
    NoClusterCheckOption,
    ScheduleArgument,
    TokenFileOption,
    check,
    connect,
    load,
    load_with_images,
)

if TYPE_CHECKING:
    from edgepress_pipelines.kubeflow.api.connection import Connection

schedule = typer.Typer(no_args_is_help=True, help="Start runs at fixed times: the configuration's `schedule`, kept by Kubeflow.")


@schedule.command("create")
def create_schedule(
    config: ConfigArgument,
    overrides: SetOption = [],  # noqa: B006  typer copies it
    images: ImagesOption = DEFAULT_IMAGES,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    cookie_file: CookieFileOption = None,
    ca_file: CaFileOption = None,
    kube_context: KubeContextOption = None,
    no_cluster_check: NoClusterCheckOption = False,
) -> None:
    """Create or update the schedule of a configuration on Kubeflow. Without a change nothing is done."""
    settings, lock = load_with_images(config, overrides, images)
    connection = connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress.errors import ConfigError
    from edgepress_pipelines.kubeflow.api import schedule as schedules
    from edgepress_pipelines.kubeflow.compile import compile_pipeline
    from edgepress_pipelines.kubeflow.package import pack
    from edgepress_pipelines.trigger.fingerprint import take_fingerprint

    if settings.schedule is None:
        raise ConfigError(f"{config}: has no schedule; add one, e.g. schedule: {{cron: '0 3 * * *'}}")
    check(settings, connection, kube_context, no_cluster_check)
    pipeline = compile_pipeline(settings.resources.kubeflow, lock)
    fingerprint = take_fingerprint(settings, pipeline.digest)  # the dataset is what each run will find
    creation = schedules.create_schedule(settings, connection, pack(settings, pipeline, fingerprint))
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
    connection = connect(host, namespace, token_file, cookie_file, ca_file)

    from rich.text import Text

    from edgepress_pipelines.kubeflow.api.preflight import check_backend
    from edgepress_pipelines.kubeflow.api.schedule import find_schedules
    from edgepress_pipelines.terminal.foreign_text import harmless
    from edgepress_pipelines.terminal.tables import make_table, print_table

    check_backend(connection, None)
    found = find_schedules(connection)
    if not found:
        typer.echo("no schedules")
        return
    table = make_table()
    table.add_column("name", overflow="fold")
    for heading in ("state", "cron (UTC)", "runs at a time", "catch-up"):
        table.add_column(heading, no_wrap=True)
    for item in found:
        state = "enabled" if item.is_enabled else "paused"
        cells = (item.name, state, item.cron, str(item.max_concurrency), "yes" if item.catch_up else "no")
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    print_table(make_console(), table)


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
    from edgepress_pipelines.kubeflow.api import schedule as schedules

    _change(schedules.pause_schedule, name, connect(host, namespace, token_file, cookie_file, ca_file), "paused", "was paused already")


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
    from edgepress_pipelines.kubeflow.api import schedule as schedules

    _change(schedules.resume_schedule, name, connect(host, namespace, token_file, cookie_file, ca_file), "resumed", "was not paused")


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
    connection = connect(host, namespace, token_file, cookie_file, ca_file)

    from edgepress_pipelines.kubeflow.api import schedule as schedules

    wanted = _settle(name, connection)
    found = schedules.delete_schedule(connection, wanted)
    typer.echo(f"schedule {wanted}: {'deleted' if found else 'there was none'}")


def _settle(name: str, connection: "Connection") -> str:
    """The schedule's name, and a connection that is ready to ask for it."""
    from edgepress_pipelines.kubeflow.api.preflight import check_backend

    if name.endswith((".yaml", ".yml")):
        settings = load(Path(name), [])
        check_backend(connection, settings.resources.kubeflow.namespace)
        return settings.name
    check_backend(connection, None)
    return name


def _change(change: Any, name: str, connection: "Connection", done: str, unchanged: str) -> None:
    """Pause or resume."""
    from edgepress.errors import InputError
    from edgepress_pipelines.kubeflow.api.schedule import find_schedules

    wanted = _settle(name, connection)
    changed = change(connection, wanted)
    if not changed and not find_schedules(connection, wanted):
        raise InputError(f"{connection.host}: there is no schedule {wanted!r}; `edgepress schedule list` shows what there is")
    typer.echo(f"schedule {wanted}: {done if changed else unchanged}")
