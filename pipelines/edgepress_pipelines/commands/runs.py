"""``edgepress runs …``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepress.errors import EXIT_FAILED, EdgePressError
from edgepress_pipelines.commands.arguments import DEFAULT_WORKDIR, PlainOption, WorkdirOption, end_with, make_console, show_error
from edgepress_pipelines.commands.kubeflow_options import ConnectionOptions, RunArgument, repeated_options, tell
from edgepress_pipelines.commands.option_groups import takes_groups

if TYPE_CHECKING:
    from edgepress_pipelines.kubeflow.api.connection import Connection

runs = typer.Typer(no_args_is_help=True, help="Look at runs on Kubeflow.")


@runs.command("list")
@takes_groups
def list_runs(
    *,
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", metavar="NAME", help="The experiment to list; edgepress when left out.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many of the newest.")] = 20,
    kubeflow: ConnectionOptions,
) -> None:
    """List the newest runs, with their verdicts where the object store can be read from here."""
    connection = kubeflow.connect()

    from edgepress_pipelines.kubeflow.preflight import check_reading
    from edgepress_pipelines.kubeflow.runs import listing

    check_reading(connection)
    listing.show_runs(make_console(), listing.list_runs(connection, experiment, limit, tell))


@runs.command("logs")
@takes_groups
def show_logs(
    *,
    run: RunArgument,
    task: Annotated[
        str | None,
        typer.Argument(metavar="TASK", help="A task, e.g. train or quantize.int8; without one, what there is.", show_default=False),
    ] = None,
    kubeflow: ConnectionOptions,
) -> None:
    """Print a task's log from the run's folder in the object store (AWS_* variables say who asks)."""
    connection = kubeflow.connect()

    from edgepress.errors import InputError
    from edgepress_pipelines.kubeflow.preflight import check_reading
    from edgepress_pipelines.kubeflow.runs.folder import RunFolder
    from edgepress_pipelines.kubeflow.runs.record import read_run
    from edgepress_pipelines.terminal.foreign_text import harmless

    check_reading(connection)
    record = read_run(connection, run)
    if record.storage_uri is None:
        raise InputError(f"run {run}: its parameters do not say where its logs are; see {connection.run_url(record.run_id)}")
    folder = RunFolder(record.storage_uri, record.run_id)
    if task is not None:
        typer.echo(folder.read_log(task), nl=False)
        return
    names = folder.log_names()
    typer.echo("\n".join(map(harmless, names)) if names else f"{folder.uri}: no task has written a log yet")


@runs.command("follow")
@takes_groups
def follow(
    *,
    context: typer.Context,
    run: RunArgument,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    plain: PlainOption = False,
    kubeflow: ConnectionOptions,
) -> None:
    """Follow a run to its end and fetch its results; exit codes as `run`."""
    connection = kubeflow.connect()

    from edgepress_pipelines.flow.workdir import Workdir
    from edgepress_pipelines.kubeflow.preflight import check_reading
    from edgepress_pipelines.kubeflow.runs.record import read_run

    check_reading(connection)
    run_id = read_run(connection, run).run_id
    Workdir(workdir)  # what is wrong input is told before anything is followed
    follow_to_end(make_console(), connection, run_id, workdir, plain, repeated_options(context, connection))


def follow_to_end(console: Any, connection: "Connection", run_id: str, workdir: Path, plain: bool, options: str = "") -> None:
    """Follow a run that is known to exist, with the display that fits the terminal; leave with the exit code of its outcome.

    Whatever ends the following itself is exit code 1: the run goes on, so this is not the 2 that says that nothing was started. ``options``
    stand in the command that is then advised, to follow it again.
    """
    from edgepress_pipelines.commands.termination import termination_interrupts
    from edgepress_pipelines.kubeflow.api.errors import KubeflowError
    from edgepress_pipelines.kubeflow.runs.follow import follow_run
    from edgepress_pipelines.kubeflow.runs.record import read_run
    from edgepress_pipelines.terminal.display import choose_display

    follow_again = f"follow it again with: edgepress runs follow {run_id}{options}"
    again = f"the run goes on; {follow_again}"
    connection.tell = lambda _: None  # the display says it
    try:
        with termination_interrupts():
            record = read_run(connection, run_id)
            with choose_display(console, f"EdgePress  {record.pipeline or record.name}", plain=plain) as display:
                outcome = follow_run(connection, record, workdir, display)
    except KeyboardInterrupt:
        show_error(f"interrupted; {again}")
        raise typer.Exit(EXIT_FAILED) from None
    except EdgePressError as error:
        is_gone = isinstance(error, KubeflowError) and error.status == 404
        show_error(f"{error}; the run is no longer there" if is_gone else f"{error}; {again}")
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:
        place = error.filename2 or error.filename or workdir
        still = "its results are still in the object store"
        show_error(f"{place}: a result of the run cannot be kept here ({error.strerror}); {still}; {follow_again}")
        raise typer.Exit(EXIT_FAILED) from None
    end_with(console, outcome)
