"""``edgepress schedule …``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgepress_pipelines.commands.arguments import DEFAULT_IMAGES, ImagesOption, make_console
from edgepress_pipelines.commands.kubeflow_options import ClusterOptions, ConfigOptions, ConnectionOptions, ScheduleArgument, tell
from edgepress_pipelines.commands.option_groups import takes_groups

if TYPE_CHECKING:
    from edgepress_pipelines.kubeflow.api.connection import Connection

schedule = typer.Typer(no_args_is_help=True, help="Start runs at fixed times: the configuration's `schedule`, kept by Kubeflow.")


@schedule.command("create")
@takes_groups
def create_schedule(
    *,
    given: ConfigOptions,
    images: ImagesOption = DEFAULT_IMAGES,
    kubeflow: ConnectionOptions,
    cluster: ClusterOptions,
) -> None:
    """Create or update the schedule of a configuration on Kubeflow. Without a change nothing is done."""
    settings, lock = given.load_with_images(images)
    connection = kubeflow.connect()

    from edgepress.errors import ConfigError
    from edgepress_pipelines.kubeflow import schedule as schedules
    from edgepress_pipelines.kubeflow.compile import compile_pipeline
    from edgepress_pipelines.kubeflow.package import pack
    from edgepress_pipelines.kubeflow.preflight import check_before_start
    from edgepress_pipelines.trigger.fingerprint import take_fingerprint

    if settings.schedule is None:
        raise ConfigError(f"{given.config}: has no schedule; add one, e.g. schedule: {{cron: '0 3 * * *'}}")
    check_before_start(settings, connection, cluster.check(), tell)
    pipeline = compile_pipeline(settings.resources.kubeflow, lock)
    fingerprint = take_fingerprint(settings, pipeline.digest)  # the dataset is what each run will find
    creation = schedules.create_schedule(settings, connection, pack(settings, pipeline, fingerprint))
    did = {"created": "created", "replaced": "replaced", "nothing": "is there already with this content, nothing changed"}[creation.did]
    paused = "" if creation.schedule.is_enabled else " (paused)"
    typer.echo(f"schedule {creation.schedule.name}{paused}: {did}; {creation.schedule.cron} UTC")


@schedule.command("list")
@takes_groups
def list_schedules(*, kubeflow: ConnectionOptions) -> None:
    """List EdgePress's schedules."""
    connection = kubeflow.connect()

    from rich.text import Text

    from edgepress_pipelines.kubeflow.preflight import check_reading
    from edgepress_pipelines.kubeflow.schedule import find_schedules
    from edgepress_pipelines.terminal.foreign_text import harmless
    from edgepress_pipelines.terminal.tables import make_table, print_table

    check_reading(connection)
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
@takes_groups
def pause_schedule(*, name: ScheduleArgument, kubeflow: ConnectionOptions) -> None:
    """Keep a schedule from starting runs; those that go on are left alone."""
    from edgepress_pipelines.kubeflow import schedule as schedules

    _change(schedules.pause_schedule, name, kubeflow.connect(), "paused", "was paused already")


@schedule.command("resume")
@takes_groups
def resume_schedule(*, name: ScheduleArgument, kubeflow: ConnectionOptions) -> None:
    """Let a paused schedule start runs again."""
    from edgepress_pipelines.kubeflow import schedule as schedules

    _change(schedules.resume_schedule, name, kubeflow.connect(), "resumed", "was not paused")


@schedule.command("delete")
@takes_groups
def delete_schedule(*, name: ScheduleArgument, kubeflow: ConnectionOptions) -> None:
    """Remove a schedule. One that is not there is said, and no error."""
    connection = kubeflow.connect()

    from edgepress_pipelines.kubeflow import schedule as schedules

    wanted = _settle(name, connection)
    found = schedules.delete_schedule(connection, wanted)
    typer.echo(f"schedule {wanted}: {'deleted' if found else 'there was none'}")


def _settle(name: str, connection: "Connection") -> str:
    """The schedule's name, and a connection that is ready to ask for it."""
    from edgepress_pipelines.kubeflow.preflight import check_backend, check_reading

    if name.endswith((".yaml", ".yml")):
        settings = ConfigOptions(Path(name)).load()
        check_backend(connection, settings.resources.kubeflow.namespace)
        return settings.name
    check_reading(connection)
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
