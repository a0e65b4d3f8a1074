"""Tables on the terminal and in files."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

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


class NamedRows:
    """A table whose rows have names: before the other columns where the width allows, else on a line of their own above each row.

    Args:
        heading: of the names.
        names: one for each row.
        table: the other columns, none of which folds.
    """

    def __init__(self, heading: str, names: Sequence[str], table: Table) -> None:
        self._heading = heading
        self._names = names
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = needed_width(console, self._table)
        lines = console.render_lines(self._table, options.update(width=width), pad=False)
        name_width = max(map(cell_len, (self._heading, *self._names)))
        is_beside = not console.is_terminal or name_width + 2 + width <= options.max_width
        for name, line in zip((self._heading, *self._names), lines, strict=True):
            style = "dim" if line is lines[0] else ""
            if is_beside:
                yield Text(f"{name}{' ' * (name_width - cell_len(name))}  ", style, end="")
            else:
                yield Text(name, style)
                yield Text("  ", end="")
            yield from line
            yield Segment.line()


class _Whole:
    """A table in its own width, whatever the console takes its own for."""

    def __init__(self, table: Table, width: int) -> None:
        self._table = table
        self._width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._table, options.update(width=self._width))
