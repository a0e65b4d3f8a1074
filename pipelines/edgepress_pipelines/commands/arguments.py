"""Arguments and options that several commands share, and how a command ends. Nothing heavy is imported."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from edgepress_pipelines.flow.outcome import RunOutcome

DEFAULT_WORKDIR: Final = Path(".edgepress")
DEFAULT_IMAGES: Final = Path("manifests/images/lock/kustomization.yaml")
"""Where ``make images PUSH=...`` writes the image lock, from the repository's root."""

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.", show_default=False)]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the configuration, e.g. --set gate.accuracy.max_drop=0.02 or "
        "--set recipes.int8.convert.io=int8. May be repeated.",
        show_default=False,
    ),
]
WorkdirOption = Annotated[Path, typer.Option("--workdir", metavar="DIR", help="Where runs, caches and data are kept.")]
ImagesOption = Annotated[
    Path,
    typer.Option("--image-lock", metavar="FILE", envvar="EDGEPRESS_IMAGE_LOCK", help="The image lock that `make images PUSH=...` writes."),
]
PlainOption = Annotated[bool, typer.Option("--plain", help="Plain lines instead of the live display.")]


def make_console() -> Any:
    """The terminal, as every command writes to it."""
    from rich.console import Console

    return Console(highlight=False)


def show_error(message: str) -> None:
    """Print the one line that a command fails with."""
    from edgepress_pipelines.terminal.foreign_text import harmless

    typer.echo(f"edgepress: error: {harmless(message)}", err=True)


def end_with(console: Any, outcome: "RunOutcome") -> None:
    """Show how a run ended, and leave with its exit code."""
    from edgepress_pipelines.terminal.outcome import show_outcome

    if outcome.verdict is not None:
        console.print()
        show_outcome(console, outcome.verdict, outcome.run_dir, outcome.published_uri)
    if outcome.message is not None:
        show_error(outcome.message)
    raise typer.Exit(outcome.exit_code)
