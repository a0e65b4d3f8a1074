"""Options that are declared once, as the fields of a dataclass, and read by typer as those of each command."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from typer.testing import CliRunner

from edgepress_pipelines.commands.option_groups import takes_groups


@dataclass(frozen=True)
class Place:
    folder: Annotated[Path, typer.Argument(help="Where.")]
    names: Annotated[list[str], typer.Option("--name")] = field(default_factory=list)


@dataclass(frozen=True)
class Pace:
    limit: Annotated[int, typer.Option("--limit", min=1)] = 3


app = typer.Typer()


@app.command()
@takes_groups
def show(*, place: Place, loud: Annotated[bool, typer.Option("--loud")] = False, pace: Pace) -> None:
    """Show what was given."""
    typer.echo(f"{place} {loud} {pace}")


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments).output


def test_a_group_is_made_of_what_was_given_and_its_defaults() -> None:
    assert run("here") == f"{Place(Path('here'))} False {Pace()}\n"
    assert run("here", "--limit", "7", "--name", "a", "--name", "b", "--loud") == f"{Place(Path('here'), ['a', 'b'])} True {Pace(7)}\n"


def test_bounds_and_required_arguments_of_a_group_count() -> None:
    assert "--limit" in run("here", "--limit", "0")
    assert "Missing argument" in run()


def test_help_lists_the_fields_in_the_group_s_place() -> None:
    lines = [line for line in run("--help").splitlines() if "--" in line]
    assert [option for line in lines for option in ("--name", "--loud", "--limit") if option in line] == ["--name", "--loud", "--limit"]


def test_no_two_calls_share_a_list() -> None:
    assert run("here", "--name", "a") != run("here")
    assert run("here") == f"{Place(Path('here'))} False {Pace()}\n"
