"""Tables on the terminal and in files."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

_UNBOUNDED = 100_000


def make_table() -> Table:
    """An empty table in the style of all of them."""
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def needed_width(console: Console, table: Table) -> int:
    """The columns of a terminal that the table takes when nothing in it is folded or cut."""
    return Measurement.get(console, console.options.update(width=_UNBOUNDED), table).maximum


def print_table(console: Console, table: Table) -> None:
    """Print a table: on a terminal within its width, in a pipe or a file as wide as it is."""
    if console.is_terminal:
        console.print(table)
    else:
        console.print(_Whole(table, needed_width(console, table)), crop=False)


class _Whole:
    """A table in its own width, whatever the console takes its own for."""

    def __init__(self, table: Table, width: int) -> None:
        self._table = table
        self._width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._table, options.update(width=self._width))
