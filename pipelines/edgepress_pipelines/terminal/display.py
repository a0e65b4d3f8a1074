"""What the terminal shows while a run goes on: which display fits it."""

import os
from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import Console

from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.terminal.live_display import LiveDisplay
from edgepress_pipelines.terminal.plain_display import PlainDisplay


class RunDisplay(RunListener, AbstractContextManager["RunDisplay"], Protocol):
    """A listener that shows what it hears, from entering it to leaving it."""


def choose_display(console: Console, title: str, *, plain: bool) -> RunDisplay:
    """The live display on a terminal that can redraw; plain lines with ``--plain``, ``NO_COLOR``, a pipe, or a terminal without UTF-8."""
    redraws = console.is_terminal and not console.is_dumb_terminal and console.encoding.lower().startswith("utf")
    if plain or os.environ.get("NO_COLOR") or not redraws:
        return PlainDisplay(console)
    return LiveDisplay(console, title)
