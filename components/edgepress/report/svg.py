"""Matplotlib figures as SVG that belongs to its page: the page's colours, its fonts, and ids that do not collide.

A figure is drawn in placeholder colours, one a role. They become the page's CSS variables, so a chart follows light, dark and print.
Matplotlib is imported when the first figure is drawn.
"""

import io
import re
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
ACCENT, GOOD, WARN, BAD = "#0a0b05", "#0a0b06", "#0a0b07", "#0a0b08"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--card",
    ACCENT: "--accent",
    GOOD: "--good",
    WARN: "--warn",
    BAD: "--bad",
}


def new_figure(width_in: float, height_in: float) -> "Figure":
    """An empty figure without a background; sizes in inches of 72 points.

    Its margins are fixed: a layout engine would draw every figure three times to find much the same ones.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in))
    figure.patch.set_visible(False)
    figure.subplots_adjust(left=0.72 / width_in, right=1 - 0.06 / width_in, bottom=0.45 / height_in, top=1 - 0.24 / height_in, hspace=0.12)
    return figure


def style_axes(axes: "Axes", *, x_title: str, y_title: str) -> None:
    """A frame that stays out of the data's way."""
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=9, length=3, which="both")
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_title, color=MUTED, fontsize=9.5)
    axes.set_ylabel(y_title, color=MUTED, fontsize=9.5)
    axes.yaxis.set_label_coords(-0.115, 0.5)


def render_svg(figure: "Figure", *, name: str, title: str, description: str) -> Markup:
    """The figure as an inline ``<svg>`` element.

    Args:
        figure: drawn in this module's colours.
        name: unique within the page; prefixes every id.
        title: what the chart shows, for screen readers and as a tooltip.
        description: its content in words.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'((?:xlink:)?href)="#([^"]+)"', rf'\1="#{name}-\2"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1var(--sans)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    view_box = re.search(r'viewBox="[^"]+"', text)
    body = text[text.index(">") + 1 :]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view_box.group() if view_box else ""} '
        f'class="chart" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return Markup(opening + body)  # noqa: S704 - matplotlib escaped the texts that it drew, and ours are escaped above
