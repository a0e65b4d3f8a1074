"""The command ``edgepress``. Each command imports what it needs when it runs, so that ``edgepress --help`` is quick."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgepress.errors import EXIT_DONE, EXIT_FAILED, InputError
from edgepress_pipelines.commands.arguments import (
    DEFAULT_IMAGES,
    DEFAULT_WORKDIR,
    ConfigArgument,
    ImagesOption,
    PlainOption,
    SetOption,
    WorkdirOption,
    end_with,
    make_console,
    show_error,
)
from edgepress_pipelines.commands.submit import register
from edgepress_pipelines.commands.trigger import trigger

_DEBUG_VARIABLE = "EDGEPRESS_DEBUG"


class _OneLineErrors(TyperGroup):
    """Ends a command that fails with one line and the error's exit code; with EDGEPRESS_DEBUG=1 the traceback comes before it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, typer.Exit, typer.Abort):
            raise  # the end of a command, or of whoever read its output
        except KeyboardInterrupt:
            show_error("interrupted")
            raise typer.Exit(EXIT_FAILED) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("typer", "click"):
                raise  # wrong usage: typer explains it and exits with 2
            from edgepress.task import describe_error

            if os.environ.get(_DEBUG_VARIABLE) == "1":
                import traceback

                traceback.print_exc()
            message, exit_code = describe_error(error)
            show_error(message)
            raise typer.Exit(exit_code) from None


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def edgepress(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Compress a model several ways, prove which result is good enough, and ship only that.

    Start with `edgepress init my-project`.
    """
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"edgepress {version_of('edgepress')}")
        raise typer.Exit(EXIT_DONE)


@app.command()
def init(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where to write it; made when absent.", show_default=False)],
) -> None:
    """Write a small commented project that runs as it is."""
    import shlex

    from edgepress_pipelines.config.starter import write_starter

    if not directory:  # an unset variable, most likely; a Path would take it for the current directory
        raise InputError("DIR: is empty; name a directory, or . for the current one")
    for path in write_starter(Path(directory)):
        typer.echo(f"wrote {path}")
    typer.echo(f"\nNext:  cd {shlex.quote(directory)} && edgepress run config.yaml")


@app.command()
def doctor(workdir: WorkdirOption = DEFAULT_WORKDIR) -> None:
    """Check that this machine has what a run needs. Exit code 1 when something is missing."""
    from edgepress_pipelines.local.doctor import examine, is_fit, show_findings

    console = make_console()
    with console.status("importing TensorFlow, LiteRT and KFP, each in a process of its own"):
        findings = examine(workdir)
    show_findings(console, findings)
    if not is_fit(findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def run(
    config: ConfigArgument,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    overrides: SetOption = [],  # noqa: B006  typer copies it
    plain: PlainOption = False,
) -> None:
    """Train, compress, measure, judge and release, all on this machine.

    Exit codes: 0 released, 10 rejected, 11 inconclusive, 2 the input is wrong, 1 anything else.
    """
    from edgepress_pipelines.config.file import load_config

    settings = load_config(config, overrides)
    console = make_console()

    from edgepress_pipelines.commands.termination import termination_interrupts
    from edgepress_pipelines.local.run import run_locally
    from edgepress_pipelines.terminal.display import choose_display

    try:
        with termination_interrupts(), choose_display(console, f"EdgePress  {settings.name}", plain=plain) as display:
            if not settings.gate.has_threshold():
                display.note("gate: no threshold is set, so every candidate will be rejected; set one, e.g. gate.accuracy.max_drop")
            outcome = run_locally(settings, workdir, display)
    except KeyboardInterrupt:
        show_error("interrupted; run the same command again to go on: finished tasks are reused")
        raise typer.Exit(EXIT_FAILED) from None
    end_with(console, outcome)


@app.command(name="compile")
def compile_(
    config: ConfigArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the compiled pipeline.")],
    images: ImagesOption = DEFAULT_IMAGES,
    overrides: SetOption = [],  # noqa: B006  typer copies it
) -> None:
    """Compile the pipeline for Kubeflow, every image by digest, with this configuration's values as its parameters' defaults.

    Files that the configuration names here (a module, a model) and long settings are not in it: `submit` puts those into the storage.
    """
    from edgepress_pipelines.config.file import load_config

    settings = load_config(config, overrides)

    from edgepress_pipelines.kubeflow.compile import write_with_parameters
    from edgepress_pipelines.kubeflow.image_lock import read_image_lock

    write_with_parameters(settings, output, read_image_lock(images))
    typer.echo(f"wrote {output}")


@app.command()
def report(
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's name or folder; the newest when left out.", show_default=False)
    ] = None,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Show a run's verdict again, and where its report is."""
    from edgepress.contracts.verdict import read_verdict
    from edgepress_pipelines.flow.outcome import published_uri
    from edgepress_pipelines.terminal.outcome import show_outcome

    run_dir = _find_run(workdir, run_id)
    show_outcome(make_console(), read_verdict(run_dir), run_dir, published_uri(run_dir))
    if open_browser and not _open_in_browser(run_dir / "report.html"):
        raise InputError(f"no browser could be opened; open {run_dir / 'report.html'} yourself")


register(app)
app.command()(trigger)


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets a question mark for it, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="edgepress")
    except OSError as error:  # of typer's own output, such as the help: commands end with one line by themselves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer cannot be written either
        show_error(f"the output cannot be written ({error.strerror})")
        sys.exit(EXIT_FAILED)


def _find_run(workdir: Path, run_id: str | None) -> Path:
    runs = workdir / "runs"
    if run_id is None:
        if not (runs / "latest").exists():
            raise InputError(f"{runs}: no run has reached a verdict yet; start one with `edgepress run CONFIG`, or name another --workdir")
        return (runs / "latest").resolve()
    for candidate in (runs / run_id, Path(run_id)):
        if candidate.is_dir():
            if not (candidate / "verdict.json").is_file():
                raise InputError(f"{candidate}: has no verdict (yet); {_where_more_is(candidate)}")
            return candidate.resolve()
    names = sorted((path.name for path in runs.iterdir() if path.is_dir() and not path.is_symlink()), reverse=True) if runs.is_dir() else []
    raise InputError(f"{runs}: there is no run {run_id!r}; there {'are' if names else 'is'} {', '.join(names[:5]) or 'none'}")


def _where_more_is(run_dir: Path) -> str:
    """What to do about a run without a verdict. One on Kubeflow may still go on, and has its logs here only when it has ended."""
    logs = run_dir / "logs"
    return f"see {logs}" if logs.is_dir() else f"for a run on Kubeflow: edgepress runs follow {run_dir.name}"


def _open_in_browser(page: Path) -> bool:
    import webbrowser

    return webbrowser.open(page.as_uri())
