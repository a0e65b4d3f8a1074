"""One threshold against one observation.

Rules and their inclusive bounds, named ``<metric>.<rule>``:

    accuracy.min         accuracy >= bound
    accuracy.max_drop    the baseline's accuracy - accuracy <= bound
    <cost>.max           cost <= bound, in the metric's unit
    <cost>.max_ratio     cost / the baseline's cost <= bound

A value that is absent, NaN or infinite, and a baseline of 0 in a ratio, never pass. The ratio of ``latency_p50_ms`` is the benchmark's
own, taken within its rounds, because the two models then met the same machine state; the other ratios are quotients.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edgepress.contracts.policy import AccuracyThreshold, CostThreshold, GateSettings
from edgepress.contracts.verdict import Check, Metrics, accuracy_drop

Rule = Literal["min", "max_drop", "max", "max_ratio"]

TITLES = {
    "accuracy": "accuracy",
    "latency_p50_ms": "p50 latency",
    "latency_p95_ms": "p95 latency",
    "size_bytes": "file size",
    "size_gzip_bytes": "gzip size",
    "macs": "multiply-accumulates",
}


@dataclass(frozen=True)
class Threshold:
    """One bound of a policy."""

    metric: str
    rule: Rule
    bound: float

    @property
    def name(self) -> str:
        """As checks are named, e.g. ``accuracy.max_drop``."""
        return f"{self.metric}.{self.rule}"


def thresholds_of(policy: GateSettings) -> tuple[Threshold, ...]:
    """The thresholds that a policy sets, in the order of its fields."""
    return tuple(_thresholds(policy))


def _thresholds(policy: GateSettings) -> Iterator[Threshold]:
    for metric in GateSettings.model_fields:
        group = getattr(policy, metric)
        if isinstance(group, AccuracyThreshold):
            rules: tuple[tuple[Rule, float | None], ...] = (("min", group.min), ("max_drop", group.max_drop))
        elif isinstance(group, CostThreshold):
            rules = (("max", group.max), ("max_ratio", group.max_ratio))
        else:
            continue
        yield from (Threshold(metric, rule, bound) for rule, bound in rules if bound is not None)


def check_threshold(threshold: Threshold, metrics: Metrics, baseline: Metrics) -> Check:
    """Hold a threshold against a model's metrics and the baseline's on the same split."""
    try:
        _measured(threshold.bound, f"the threshold {threshold.name}")
        observed = _observe(threshold, metrics, baseline)
    except _NotMeasuredError as error:
        return Check(name=threshold.name, observed=None, threshold=_finite(threshold.bound), outcome="rejected", reason=str(error))
    passes = observed >= threshold.bound if threshold.rule == "min" else observed <= threshold.bound
    return Check(
        name=threshold.name,
        observed=observed,
        threshold=_finite(threshold.bound),
        outcome="passed" if passes else "rejected",
        reason=_sentence(threshold, observed, passes),
    )


class _NotMeasuredError(Exception):
    """An observation is missing; the text says which."""


def _observe(threshold: Threshold, metrics: Metrics, baseline: Metrics) -> float:
    title = TITLES[threshold.metric]
    value = _measured(getattr(metrics, threshold.metric), title)
    if threshold.rule in ("min", "max"):
        return value
    reference = _measured(getattr(baseline, threshold.metric), f"the baseline's {title}")
    if threshold.rule == "max_drop":
        return accuracy_drop(value, reference)
    if reference <= 0.0:
        raise _NotMeasuredError(f"the baseline's {title} is {reference:g}, so no ratio to it can be formed")
    if threshold.metric == "latency_p50_ms":
        return _measured(metrics.latency_ratio, f"the ratio of {title} to the baseline's")
    return _measured(value / reference, f"the ratio of {title} to the baseline's")


def _measured(value: float | None, title: str) -> float:
    if value is None:
        raise _NotMeasuredError(f"{title} was not measured")
    if not math.isfinite(value):
        raise _NotMeasuredError(f"{title} is {value}, which is not a number to compare")
    return float(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _sentence(threshold: Threshold, observed: float, passes: bool) -> str:
    title = TITLES[threshold.metric]
    unit = {"ms": " ms", "bytes": " bytes"}.get(threshold.metric.rsplit("_", 1)[-1], "")
    seen, bound = _digits(observed, threshold.bound)
    match threshold.rule:
        case "min":
            return f"{title} {seen} {'reaches' if passes else 'is below'} the minimum {bound}"
        case "max_drop":
            side, seen = ("above", seen.removeprefix("-")) if observed < 0 else ("below", seen)
            return f"accuracy is {seen} {side} the baseline's, {'within' if passes else 'more than'} the largest drop {bound}"
        case "max":
            return f"{title} {seen}{unit} {'is within' if passes else 'exceeds'} the maximum {bound}{unit}"
        case "max_ratio":
            return f"{title} is {seen} of the baseline's, {'within' if passes else 'above'} the maximum {bound}"


def _digits(observed: float, bound: float) -> tuple[str, str]:
    """Both numbers short, unless that would make different numbers look alike."""
    short = _short(observed), _short(bound)
    return short if observed == bound or short[0] != short[1] else (repr(observed), repr(bound))


def _short(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{Decimal(f'{value:.4g}'):f}"
