"""Numbers as people read them, with their units. What was not measured says so."""

import math

from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import METRICS

NOT_MEASURED = "not measured"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that a line never ends between them."""


def percent(value: float | None) -> str:
    """A share, e.g. ``91.79 %``."""
    return NOT_MEASURED if value is None else f"{100 * value:.2f}{NBSP}%"


def points(drop: float | None) -> str:
    """An accuracy drop as a signed change in percentage points, 0.003 as ``-0.30 pt``; a gain has a plus."""
    if drop is None:
        return NOT_MEASURED
    change = round(-100 * drop, 2)
    return f"±0.00{NBSP}pt" if change == 0 else f"{'+' if change > 0 else MINUS}{abs(change):.2f}{NBSP}pt"


def size(value: float | None) -> str:
    """Bytes, decimal prefixes: ``316.2 kB``."""
    if value is None:
        return NOT_MEASURED
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f}{NBSP}{unit}"
    return f"{value:.0f}{NBSP}bytes"


def milliseconds(value: float | None) -> str:
    """Three significant digits: ``0.467 ms``, ``12.3 ms``."""
    return NOT_MEASURED if value is None else f"{_significant(value)}{NBSP}ms"


def ratio(value: float | None) -> str:
    """A multiple, three significant digits and a multiplication sign."""
    return NOT_MEASURED if value is None else f"{_significant(value)}{TIMES}"


def count(value: float | None) -> str:
    """Whole numbers with separators: ``78,378``."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def short_count(value: float | None) -> str:
    """Large counts in short: ``12.5 M``."""
    if value is None:
        return NOT_MEASURED
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{NBSP}{unit}"
    return f"{value:.0f}"


def seconds(value: float | None) -> str:
    """``0.4 s``, ``2 min 5 s``."""
    if value is None:
        return NOT_MEASURED
    if value < 60:
        return f"{value:.1f}{NBSP}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}{NBSP}min {rest}{NBSP}s"


def of_metric(metric: Metric, value: float | None) -> str:
    """A metric's value in its unit."""
    match metric.unit:
        case "ratio":
            return percent(value)
        case "multiple":
            return ratio(value)
        case "bytes":
            return size(value)
        case "ms":
            return milliseconds(value)
        case "count":
            return count(value) if value is None or value < 1e6 else short_count(value)
        case "label units":
            return NOT_MEASURED if value is None else _significant(value)


def change(metric: Metric, loss: float | None) -> str:
    """How a metric changed, from how much of it was lost: shares in percentage points, others in the metric's unit, both signed as the
    value moved."""
    if metric.unit == "ratio" and metric.direction == "higher":
        return points(loss)
    if loss is None:
        return NOT_MEASURED
    moved = -loss if metric.direction == "higher" else loss
    if metric.unit == "ratio":
        return points(-moved)
    return "±0" if moved == 0 else f"{'+' if moved > 0 else MINUS}{of_metric(metric, abs(moved))}"


def check_quantity(check: str, value: float | None) -> str:
    """An observation or a threshold of a check, by the check's name, e.g. ``accuracy.max_drop``."""
    name, _, rule = check.partition(".")
    if value is None or name not in METRICS:
        return NOT_MEASURED
    metric = METRICS[name]
    if rule in ("max_drop", "max_rise") and metric.unit == "ratio":
        return f"{100 * value:.2f}{NBSP}pt"
    if rule == "max_ratio":
        return ratio(value)
    if value < 0:
        return f"{MINUS}{of_metric(metric, -value)}"
    return of_metric(metric, value)


def quantity(name: str, value: object) -> str:
    """A named value, its unit taken from the name's ending; settings and facts of stages are shown this way."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, list | tuple):
        return ", ".join(quantity("", item) for item in value)
    return str(value)


def flatten(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as one level, e.g. ``train.epochs``."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _number(name: str, value: float) -> str:
    last = name.rsplit(".", 1)[-1]
    if last.endswith("_ms"):
        return milliseconds(value)
    if last.endswith("_bytes") or last == "bytes":
        return size(value)
    if last.endswith("_s"):
        return seconds(value)
    if last.endswith(("accuracy", "sparsity")):
        return percent(value)
    if isinstance(value, int):
        return count(value) if abs(value) >= 10_000 else str(value)
    return f"{value:.4g}"


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"
