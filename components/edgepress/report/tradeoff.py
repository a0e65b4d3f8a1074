"""Accuracy against a cost: every measured model, the Pareto front among them, and the policy's bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.policy import CostThreshold, GateSettings
from edgepress.contracts.verdict import Metrics
from edgepress.report.pareto import pareto_front
from edgepress.report.quantities import milliseconds, percent, size
from edgepress.report.records import RunRecords
from edgepress.report.svg import ACCENT, BAD, GOOD, INK, MUTED, PAPER, WARN, new_figure, render_svg, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class _Marker:
    """``area`` in square points, ``outline`` in points."""

    shape: str
    fill: str
    edge: str
    area: float
    outline: float


_MARKERS = {
    BASELINE: _Marker("D", PAPER, INK, 46, 1.6),
    "nominated": _Marker("*", ACCENT, PAPER, 210, 0.8),
    "eligible": _Marker("o", GOOD, PAPER, 58, 0.8),
    "ineligible": _Marker("X", WARN, PAPER, 58, 0.8),
}
_COSTS = {
    "size_gzip_bytes": "gzip size",
    "latency_p50_ms": "p50 latency",
    "size_bytes": "file size",
    "latency_p95_ms": "p95 latency",
}
_ALWAYS_SHOWN = ("size_gzip_bytes", "latency_p50_ms")
_FLOOR_MARGIN = 0.06
"""Accuracy below the lowest that matters (a bound or the median model) that still gets its place; lower ones sit on the bottom edge."""


@dataclass(frozen=True)
class Point:
    """One model in the plane."""

    recipe: str
    outcome: str
    cost: float
    accuracy: float


@dataclass(frozen=True)
class Tradeoff:
    """A chart and what it says in words; ``svg`` is None when no model has both figures."""

    title: str
    svg: Markup | None
    bounds: tuple[str, ...]
    front: tuple[str, ...]


def draw_tradeoffs(records: RunRecords) -> list[Tradeoff]:
    """Accuracy against each cost that every report shows, and against each other cost that the policy bounds."""
    return [
        _draw_tradeoff(records, metric, title)
        for metric, title in _COSTS.items()
        if metric in _ALWAYS_SHOWN or getattr(records.policy, metric) != CostThreshold()
    ]


def _draw_tradeoff(records: RunRecords, metric: str, title: str) -> Tradeoff:
    """Accuracy against a cost, on validation data."""
    points = _points(records, metric)
    threshold: CostThreshold = getattr(records.policy, metric)
    cost_bounds = _cost_bounds(threshold, getattr(records.baseline_metrics, metric))
    accuracy_bounds = _accuracy_bounds(records.policy, records.baseline_metrics)
    show = size if metric.endswith("bytes") else milliseconds
    bounds = (
        *(f"{name}: accuracy at least {percent(value)}" for name, value in accuracy_bounds),
        *(f"{metric}.{name}: at most {show(value)}{_how_judged(metric, name)}" for name, value in cost_bounds),
    )
    front = pareto_front((point.cost, point.accuracy) for point in points)
    on_front = tuple(point.recipe for point in points if (point.cost, point.accuracy) in front)
    if not points:
        return Tradeoff(title=title, svg=None, bounds=bounds, front=())
    figure = new_figure(5.2, 3.7)
    axes = figure.add_subplot()
    unit, divisor = _unit(metric, max(point.cost for point in points))
    style_axes(axes, x_title=f"{title}, {unit}", y_title="accuracy on validation data")
    _set_limits(axes, points, [value for _, value in cost_bounds], [value for _, value in accuracy_bounds])
    _set_ticks(axes, divisor)
    _draw_bounds(axes, cost_bounds, accuracy_bounds)
    _draw_front(axes, front)
    floor = axes.get_ylim()[0]
    _draw_points(axes, points, floor)
    _draw_names(axes, points, floor, front)
    described = "; ".join(f"{point.recipe} ({point.outcome}): {percent(point.accuracy)} at {show(point.cost)}" for point in points)
    svg = render_svg(
        figure,
        name=f"tradeoff-{metric}",
        title=f"Accuracy against {title}",
        description=f"{described}. Pareto front: {', '.join(on_front)}.",
    )
    return Tradeoff(title=title, svg=svg, bounds=bounds, front=on_front)


def _how_judged(metric: str, bound: str) -> str:
    if metric != "latency_p50_ms" or bound != "max_ratio":
        return ""
    return " where the baseline took its median; judged is the ratio within each round, which a point near the line may settle otherwise"


def _points(records: RunRecords, metric: str) -> list[Point]:
    models: list[tuple[str, str, Metrics]] = [(BASELINE, BASELINE, records.baseline_metrics)]
    models += [(verdict.recipe, verdict.outcome, verdict.metrics) for verdict in records.verdict.candidates]
    points = []
    for recipe, outcome, metrics in models:
        cost = getattr(metrics, metric)
        if cost is not None and metrics.accuracy is not None:
            points.append(Point(recipe, outcome, cost, metrics.accuracy))
    return points


def _cost_bounds(threshold: CostThreshold, baseline: float | None) -> list[tuple[str, float]]:
    bounds = [] if threshold.max is None else [("max", threshold.max)]
    if threshold.max_ratio is not None and baseline is not None:
        bounds.append(("max_ratio", threshold.max_ratio * baseline))
    return bounds


def _accuracy_bounds(policy: GateSettings, baseline: Metrics) -> list[tuple[str, float]]:
    bounds = [] if policy.accuracy.min is None else [("accuracy.min", policy.accuracy.min)]
    if policy.accuracy.max_drop is not None and baseline.accuracy is not None:
        bounds.append(("accuracy.max_drop", baseline.accuracy - policy.accuracy.max_drop))
    return bounds


def _set_limits(axes: "Axes", points: Sequence[Point], cost_bounds: Sequence[float], accuracy_bounds: Sequence[float]) -> None:
    """Show every cost; show accuracies from the lowest that matters, and a bound only where it leaves the points room."""
    costs = [point.cost for point in points]
    low, high = min(costs), max(costs)
    shown = [low, high, *(bound for bound in cost_bounds if low / 3 <= bound <= high * 3)]
    if min(shown) > 0 and max(shown) > 6 * min(shown):
        axes.set_xscale("log")
        axes.set_xlim(min(shown) / 1.5, max(shown) * 1.6)
    else:
        margin = 0.14 * (max(shown) - min(shown)) or 0.1 * max(shown) or 1.0
        axes.set_xlim(max(0.0, min(shown) - margin), max(shown) + 1.6 * margin)
    accuracies = sorted(point.accuracy for point in points)
    median = accuracies[len(accuracies) // 2]
    floor = min([median, *accuracy_bounds]) - _FLOOR_MARGIN
    kept = [value for value in accuracies if value >= floor]
    spread = max(kept[-1] - kept[0], 0.01)
    kept += [bound for bound in accuracy_bounds if kept[0] - 2 * spread <= bound <= kept[-1] + 2 * spread]
    margin = 0.16 * max(max(kept) - min(kept), 0.01)
    axes.set_ylim(min(kept) - margin, max(kept) + margin)


def _unit(metric: str, largest: float) -> tuple[str, float]:
    if metric.endswith("_ms"):
        return "ms", 1.0
    return next(((unit, limit) for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if largest >= limit), ("bytes", 1.0))


def _set_ticks(axes: "Axes", divisor: float) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    logarithmic = axes.get_xscale() == "log"
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if logarithmic else MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / divisor:g}")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    bottom, top = axes.get_ylim()
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.{1 if top - bottom < 0.05 else 0}f} %")


def _draw_bounds(axes: "Axes", cost_bounds: Sequence[tuple[str, float]], accuracy_bounds: Sequence[tuple[str, float]]) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    line: dict[str, Any] = {"color": BAD, "linewidth": 1, "linestyle": (0, (5, 3))}
    text: dict[str, Any] = {"textcoords": "offset points", "color": BAD, "fontsize": 8, "annotation_clip": False}
    if accuracy_bounds:
        highest = max(bound for _, bound in accuracy_bounds)
        axes.axhspan(min(bottom, highest), highest, color=BAD, alpha=0.07, linewidth=0)
        for name, bound in accuracy_bounds:
            if bottom < bound < top:
                axes.axhline(bound, **line)
                axes.annotate(name, (0, bound), (4, 3), xycoords=("axes fraction", "data"), gid=f"label-{name}", **text)
    if cost_bounds:
        lowest = min(bound for _, bound in cost_bounds)
        axes.axvspan(lowest, max(right, lowest), color=BAD, alpha=0.07, linewidth=0)
        for name, bound in cost_bounds:
            if left < bound < right:
                axes.axvline(bound, **line)
                axes.annotate(name, (bound, 1), (0, 3), xycoords=("data", "axes fraction"), gid=f"label-{name}", ha="center", **text)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _draw_front(axes: "Axes", front: Sequence[tuple[float, float]]) -> None:
    if len(front) > 1:
        costs, accuracies = zip(*front, strict=True)
        axes.step(costs, accuracies, where="post", color=ACCENT, linewidth=1.4, alpha=0.55, zorder=2)


def _draw_points(axes: "Axes", points: Sequence[Point], floor: float) -> None:
    for point in points:
        marker = _MARKERS[point.outcome]
        low = point.accuracy < floor
        axes.scatter(
            [point.cost],
            [max(point.accuracy, floor)],
            marker="v" if low else marker.shape,
            s=marker.area,
            color=marker.fill,
            edgecolors=marker.edge,
            linewidths=marker.outline,
            zorder=3,
            clip_on=False,
        )


def _draw_names(axes: "Axes", points: Sequence[Point], floor: float, front: Sequence[tuple[float, float]]) -> None:
    """Put each name beside its point, on the side where it covers least of the other names, the points and the front."""
    at = {point.recipe: axes.transData.transform((point.cost, max(point.accuracy, floor))) for point in points}
    scale = axes.figure.dpi / 72
    frame = axes.get_window_extent()
    taken = [(x - 6 * scale, y - 6 * scale, x + 6 * scale, y + 6 * scale) for x, y in at.values()]
    corners = [axes.transData.transform((cost, max(accuracy, floor))) for cost, accuracy in front]
    for (x, y), (next_x, next_y) in pairwise(corners):
        taken += [(x, y - scale, next_x, y + scale), (next_x - scale, y, next_x + scale, next_y)]
    for point in points:
        name = point.recipe if point.accuracy >= floor else f"{point.recipe} ({percent(point.accuracy)})"
        width, height = 5.1 * len(name), 10.0
        x, y = at[point.recipe]
        gap = 12 if point.outcome == "nominated" else 9
        sides = [(gap, -4), (-gap - width, -4), (-width / 2, 9), (-width / 2, -19), (9, 8), (9, -17), (-9 - width, 8), (-9 - width, -17)]
        sides += [(9, 20), (-9 - width, 20), (9, -29), (-9 - width, -29)]
        boxes = [(x + dx * scale, y + dy * scale, x + (dx + width) * scale, y + (dy + height) * scale) for dx, dy in sides]
        costs = [sum(_overlap(box, other) for other in taken) + _outside(box, frame.x0, frame.x1, frame.y0, frame.y1) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        axes.annotate(
            name,
            (point.cost, max(point.accuracy, floor)),
            sides[best],
            textcoords="offset points",
            fontsize=9,
            color=INK if point.outcome in ("nominated", BASELINE) else MUTED,
            fontweight="bold" if point.outcome == "nominated" else "normal",
            parse_math=False,
            gid=f"label-{point.recipe}",
            annotation_clip=False,
            zorder=4,
        )


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: tuple[float, float, float, float], left: float, right: float, bottom: float, top: float) -> float:
    return 30 * (max(0.0, left - box[0]) + max(0.0, box[2] - right) + max(0.0, bottom - box[1]) + max(0.0, box[3] - top))
