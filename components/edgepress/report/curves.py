"""Training curves: one chart for each recipe that trained something, its stages in order on one axis of epochs."""

from collections.abc import Sequence

from markupsafe import Markup

from edgepress.contracts.candidate import StageRecord
from edgepress.report.quantities import of_metric
from edgepress.report.svg import ACCENT, GRID, MUTED, new_figure, render_svg, style_axes
from edgepress.tasks.metric import Metric

_PANEL_HEIGHT_INCHES = 1.65


def draw_curves(recipe: str, stages: Sequence[StageRecord], selecting: Metric) -> Markup | None:
    """The task's selecting metric, the loss and the user's own metrics over every stage's epochs, on training and validation data;
    None when no stage has curves."""
    always = (selecting.name, "loss")
    trained = [stage for stage in stages if any(stage.curves.get(key) for panel in always for key in (panel, f"val_{panel}"))]
    if not trained:
        return None
    shown = (*always, *_own_metrics(trained, always))
    figure = new_figure(5.2, _PANEL_HEIGHT_INCHES * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True)
    for axes, key in zip(panels, shown, strict=True):
        style_axes(axes, x_title="epoch" if key == shown[-1] else "", y_title=key)
        begin = 0
        for stage in trained:
            epochs = _epochs(stage)
            for curve, colour, style in ((key, MUTED, (0, (4, 2))), (f"val_{key}", ACCENT, "solid")):
                values = stage.curves.get(curve, ())
                if values:
                    ends = range(begin + 1, begin + len(values) + 1)
                    axes.plot(ends, values, color=colour, linestyle=style, linewidth=1.6, marker="o", markersize=2.4)
            if begin:
                axes.axvline(begin + 0.5, color=GRID, linewidth=1.2)
            if key == selecting.name:
                axes.text(
                    begin + 0.5 + epochs / 2, 1.03, stage.stage, transform=axes.get_xaxis_transform(), ha="center", fontsize=9, color=MUTED
                )
            begin += epochs
        axes.set_xlim(0.5, max(begin + 0.5, 1.6))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.get_major_locator().set_params(nbins=5)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    best = "; ".join(_best(stage, selecting) for stage in trained)
    return render_svg(figure, name=f"curves-{recipe}", title=f"Training curves of {recipe}", description=f"By stage: {best}.")


def _own_metrics(stages: Sequence[StageRecord], always: tuple[str, ...]) -> list[str]:
    """Names of the curves that are not always shown, as the user's module names its metrics."""
    validated = {key.removeprefix("val_") for stage in stages for key in stage.curves if key.startswith("val_")}
    return sorted(validated - set(always))


def _epochs(stage: StageRecord) -> int:
    return max(len(values) for values in stage.curves.values())


def _best(stage: StageRecord, selecting: Metric) -> str:
    values = stage.curves.get(f"val_{selecting.name}", ())
    choose = max if selecting.direction == "higher" else min
    best = f", best validation {selecting.title} {of_metric(selecting, choose(values))}" if values else ""
    return f"{stage.stage}, {_epochs(stage)} epochs{best}"
