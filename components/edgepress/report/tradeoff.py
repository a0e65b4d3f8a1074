"""The task's selecting metric against a cost: every measured model, the Pareto front among them, and the policy's bounds.

The upper side is always the better one: of a metric that is better when it is lower, the chart's ``merit`` is its negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import CostThreshold, ErrorThreshold, GateSettings, ShareThreshold
from edgepress.report.pareto import pareto_front
from edgepress.report.quantities import of_metric
from edgepress.report.records import RunRecords
from edgepress.report.svg import ACCENT, BAD, GOOD, INK, MUTED, PAPER, WARN, new_figure, render_svg, style_axes
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import LATENCY_P50_MS, METRICS, SIZE_GZIP_BYTES

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
_ALWAYS_SHOWN = (SIZE_GZIP_BYTES, LATENCY_P50_MS)
_FLOOR_MARGIN = 0.06
"""Below the lowest merit that matters (a bound or the median model), as a share of the median where the metric is no share itself: what
still gets its place; lower ones sit on the bottom edge."""


@dataclass(frozen=True)
class Point:
    """One model in the plane."""

    recipe: str
    outcome: str
    cost: float
    merit: float


@dataclass(frozen=True)
class Tradeoff:
    """A chart and what it says in words; ``svg`` is None when no model has both figures."""

    title: str
    svg: Markup | None
    bounds: tuple[str, ...]
    front: tuple[str, ...]


def draw_tradeoffs(records: RunRecords) -> list[Tradeoff]:
    """The selecting metric against each cost that every report shows, and against each other cost that the policy bounds."""
    bounded = [metric for metric in METRICS.values() if records.policy.threshold(metric.name) is not None and _is_cost(metric)]
    return [_draw_tradeoff(records, metric) for metric in dict.fromkeys((*_ALWAYS_SHOWN, *bounded))]


def _is_cost(metric: Metric) -> bool:
    return metric.source in ("file", "machine") and metric.direction == "lower"


def _draw_tradeoff(records: RunRecords, metric: Metric) -> Tradeoff:
    """The selecting metric against a cost, on validation data."""
    selecting, title = records.task.selecting, metric.title
    points = _points(records, metric)
    cost_bounds = _cost_bounds(records.policy, metric, records.baseline_metrics.get(metric.name))
    merit_bounds = _merit_bounds(records.policy, selecting, records.baseline_metrics.get(selecting.name))
    side = "at least" if selecting.direction == "higher" else "at most"
    bounds = (
        *(f"{name}: {selecting.title} {side} {of_metric(selecting, abs(value))}" for name, value in merit_bounds),
        *(f"{metric.name}.{name}: at most {of_metric(metric, value)}{_how_judged(metric, name)}" for name, value in cost_bounds),
    )
    front = pareto_front((point.cost, point.merit) for point in points)
    on_front = tuple(point.recipe for point in points if (point.cost, point.merit) in front)
    if not points:
        return Tradeoff(title=title, svg=None, bounds=bounds, front=())
    figure = new_figure(5.2, 3.7)
    axes = figure.add_subplot()
    unit, divisor = _unit(metric, max(point.cost for point in points))
    style_axes(axes, x_title=f"{title}, {unit}" if unit else title, y_title=f"{selecting.title} on validation data")
    _set_limits(axes, points, [value for _, value in cost_bounds], [value for _, value in merit_bounds], selecting)
    _set_ticks(axes, divisor, selecting)
    _draw_bounds(axes, cost_bounds, merit_bounds)
    _draw_front(axes, front)
    floor = axes.get_ylim()[0]
    _draw_points(axes, points, floor)
    _draw_names(axes, points, floor, front, selecting)
    described = "; ".join(
        f"{point.recipe} ({point.outcome}): {of_metric(selecting, abs(point.merit))} at {of_metric(metric, point.cost)}" for point in points
    )
    svg = render_svg(
        figure,
        name=f"tradeoff-{metric.name}",
        title=f"{selecting.heading} against {title}",
        description=f"{described}. Pareto front: {', '.join(on_front)}.",
    )
    return Tradeoff(title=title, svg=svg, bounds=bounds, front=on_front)


def _how_judged(metric: Metric, bound: str) -> str:
    if metric is not LATENCY_P50_MS or bound != "max_ratio":
        return ""
    return " where the baseline took its median; judged is the ratio within each round, which a point near the line may settle otherwise"


def _points(records: RunRecords, metric: Metric) -> list[Point]:
    selecting = records.task.selecting
    models: list[tuple[str, str, Metrics]] = [(BASELINE, BASELINE, records.baseline_metrics)]
    models += [(verdict.recipe, verdict.outcome, verdict.metrics) for verdict in records.verdict.candidates]
    points = []
    for recipe, outcome, metrics in models:
        cost, value = metrics.get(metric.name), metrics.get(selecting.name)
        if cost is not None and value is not None:
            points.append(Point(recipe, outcome, cost, value if selecting.direction == "higher" else -value))
    return points


def _cost_bounds(policy: GateSettings, metric: Metric, baseline: float | None) -> list[tuple[str, float]]:
    threshold = policy.threshold(metric.name)
    bounds = []
    if isinstance(threshold, CostThreshold):
        if threshold.max is not None:
            bounds.append(("max", threshold.max))
        if threshold.max_ratio is not None and baseline is not None:
            bounds.append(("max_ratio", threshold.max_ratio * baseline))
    return bounds


def _merit_bounds(policy: GateSettings, selecting: Metric, baseline: float | None) -> list[tuple[str, float]]:
    threshold = policy.threshold(selecting.name)
    bounds: list[tuple[str, float | None]] = []
    if isinstance(threshold, ShareThreshold):
        dropped = None if baseline is None or threshold.max_drop is None else baseline - threshold.max_drop
        bounds = [("min", threshold.min), ("max_drop", dropped)]
    elif isinstance(threshold, ErrorThreshold):
        highest: list[tuple[str, float | None]] = [("max", threshold.max)]
        if baseline is not None:
            highest += [
                ("max_rise", None if threshold.max_rise is None else baseline + threshold.max_rise),
                ("max_ratio", None if threshold.max_ratio is None else baseline * threshold.max_ratio),
            ]
        bounds = [(rule, None if value is None else -value) for rule, value in highest]
    return [(f"{selecting.name}.{rule}", value) for rule, value in bounds if value is not None]


def _set_limits(
    axes: "Axes", points: Sequence[Point], cost_bounds: Sequence[float], merit_bounds: Sequence[float], selecting: Metric
) -> None:
    """Show every cost; show merits from the lowest that matters, and a bound only where it leaves the points room."""
    costs = [point.cost for point in points]
    low, high = min(costs), max(costs)
    shown = [low, high, *(bound for bound in cost_bounds if low / 3 <= bound <= high * 3)]
    if min(shown) > 0 and max(shown) > 6 * min(shown):
        axes.set_xscale("log")
        axes.set_xlim(min(shown) / 1.5, max(shown) * 1.6)
    else:
        margin = 0.14 * (max(shown) - min(shown)) or 0.1 * max(shown) or 1.0
        axes.set_xlim(max(0.0, min(shown) - margin), max(shown) + 1.6 * margin)
    merits = sorted(point.merit for point in points)
    median = merits[len(merits) // 2]
    scale = 1.0 if selecting.unit == "ratio" else abs(median) or 1.0
    floor = min([median, *merit_bounds]) - _FLOOR_MARGIN * scale
    kept = [value for value in merits if value >= floor]
    spread = max(kept[-1] - kept[0], 0.01 * scale)
    kept += [bound for bound in merit_bounds if kept[0] - 2 * spread <= bound <= kept[-1] + 2 * spread]
    margin = 0.16 * max(max(kept) - min(kept), 0.01 * scale)
    axes.set_ylim(min(kept) - margin, max(kept) + margin)


def _unit(metric: Metric, largest: float) -> tuple[str, float]:
    if metric.unit == "ms":
        return "ms", 1.0
    suffix, smallest = ("B", "bytes") if metric.unit == "bytes" else ("", "")
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= limit:
            return f"{prefix}{suffix}", limit
    return smallest, 1.0


def _set_ticks(axes: "Axes", divisor: float, selecting: Metric) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    logarithmic = axes.get_xscale() == "log"
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if logarithmic else MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / divisor:g}")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    bottom, top = axes.get_ylim()
    if selecting.unit == "ratio":
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * abs(value):.{1 if top - bottom < 0.05 else 0}f} %")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def _draw_bounds(axes: "Axes", cost_bounds: Sequence[tuple[str, float]], merit_bounds: Sequence[tuple[str, float]]) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    line: dict[str, Any] = {"color": BAD, "linewidth": 1, "linestyle": (0, (5, 3))}
    text: dict[str, Any] = {"textcoords": "offset points", "color": BAD, "fontsize": 8, "annotation_clip": False}
    if merit_bounds:
        highest = max(bound for _, bound in merit_bounds)
        axes.axhspan(min(bottom, highest), highest, color=BAD, alpha=0.07, linewidth=0)
        for name, bound in merit_bounds:
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
        costs, merits = zip(*front, strict=True)
        axes.step(costs, merits, where="post", color=ACCENT, linewidth=1.4, alpha=0.55, zorder=2)


def _draw_points(axes: "Axes", points: Sequence[Point], floor: float) -> None:
    for point in points:
        marker = _MARKERS[point.outcome]
        low = point.merit < floor
        axes.scatter(
            [point.cost],
            [max(point.merit, floor)],
            marker="v" if low else marker.shape,
            s=marker.area,
            color=marker.fill,
            edgecolors=marker.edge,
            linewidths=marker.outline,
            zorder=3,
            clip_on=False,
        )


def _draw_names(axes: "Axes", points: Sequence[Point], floor: float, front: Sequence[tuple[float, float]], selecting: Metric) -> None:
    """Put each name beside its point, on the side where it covers least of the other names, the points and the front."""
    at = {point.recipe: axes.transData.transform((point.cost, max(point.merit, floor))) for point in points}
    scale = axes.figure.dpi / 72
    frame = axes.get_window_extent()
    taken = [(x - 6 * scale, y - 6 * scale, x + 6 * scale, y + 6 * scale) for x, y in at.values()]
    corners = [axes.transData.transform((cost, max(merit, floor))) for cost, merit in front]
    for (x, y), (next_x, next_y) in pairwise(corners):
        taken += [(x, y - scale, next_x, y + scale), (next_x - scale, y, next_x + scale, next_y)]
    for point in points:
        name = point.recipe if point.merit >= floor else f"{point.recipe} ({of_metric(selecting, abs(point.merit))})"
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
            (point.cost, max(point.merit, floor)),
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
