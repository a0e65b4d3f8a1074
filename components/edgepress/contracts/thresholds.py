"""One threshold against one observation, and every threshold of a policy against what was measured.

Rules and their inclusive bounds, named ``<metric>.<rule>``; which of them a metric can have, ``contracts.policy`` says:

    min         value >= bound
    max         value <= bound, in the metric's unit
    max_drop    the baseline's value - value <= bound, for what is better when it is higher
    max_rise    value - the baseline's value <= bound, for what is better when it is lower
    max_ratio   value / the baseline's value <= bound

A value that is absent, NaN or infinite, and a baseline of 0 in a ratio, never pass. The ratio of ``latency_p50_ms`` is the benchmark's
own, taken within its rounds, because the two models then met the same machine state; the other ratios are quotients.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.verdict import Check, Outcome
from edgepress.tasks.comparisons import LATENCY_RATIO
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import LATENCY_P50_MS, METRICS

Rule = Literal["min", "max", "max_drop", "max_rise", "max_ratio"]
RULES: tuple[Rule, ...] = ("min", "max", "max_drop", "max_rise", "max_ratio")

MOST_RATIO = 50.0
"""Compression never makes anything fifty times as dear, so a ratio above this is a slip of the pen or no threshold at all."""

MOST_COST = 1e15
"""Likewise of an absolute cost: a petabyte, an operation of 30,000 years, a thousand million million multiplications."""

NO_THRESHOLD = "the policy has no threshold"


@dataclass(frozen=True)
class Threshold:
    """One bound of a policy."""

    metric: Metric
    rule: Rule
    bound: float

    @property
    def name(self) -> str:
        """As checks are named, e.g. ``accuracy.max_drop``."""
        return f"{self.metric.name}.{self.rule}"

    @property
    def cannot_fail(self) -> bool:
        """Whether every value that the metric can have holds it, or every value that compression can bring about."""
        lowest, highest = self.metric.bounds
        match self.rule:
            case "min":
                return self.bound <= lowest
            case "max":
                most = {"multiple": MOST_RATIO, "bytes": MOST_COST, "count": MOST_COST, "ms": MOST_COST}.get(self.metric.unit, math.inf)
                return self.bound >= min(most, highest)
            case "max_drop" | "max_rise":
                return self.bound >= highest - lowest
            case "max_ratio":
                return self.bound >= MOST_RATIO


def thresholds_of(policy: GateSettings) -> tuple[Threshold, ...]:
    """The thresholds that a policy sets, in the order of the metrics."""
    return tuple(_thresholds(policy))


def _thresholds(policy: GateSettings) -> Iterator[Threshold]:
    for metric in METRICS.values():
        group = policy.threshold(metric.name)
        for rule in RULES:
            bound: float | None = getattr(group, rule, None)
            if bound is not None:
                yield Threshold(metric, rule, bound)


def check_all(policy: GateSettings, metrics: Metrics, baseline: Metrics) -> tuple[Check, ...]:
    """One check for each threshold of a policy; a policy without any gets one that is rejected for it."""
    thresholds = thresholds_of(policy)
    if not thresholds:
        return (Check(name="policy", observed=None, threshold=None, outcome="rejected", reason=NO_THRESHOLD),)
    return tuple(check_threshold(threshold, metrics, baseline) for threshold in thresholds)


def decide(checks: Sequence[Check]) -> Outcome:
    """Passed when there is a check and all passed."""
    return "passed" if checks and all(check.outcome == "passed" for check in checks) else "rejected"


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
    metric, title = threshold.metric, threshold.metric.title
    value = _measured(metrics.get(metric.name), title)
    if threshold.rule in ("min", "max"):
        return value
    reference = _measured(baseline.get(metric.name), f"the baseline's {title}")
    if threshold.rule in ("max_drop", "max_rise"):
        return metric.loss(value, reference)
    if reference <= 0.0:
        raise _NotMeasuredError(f"the baseline's {title} is {reference:g}, so no ratio to it can be formed")
    if metric is LATENCY_P50_MS:
        return _measured(metrics.get(LATENCY_RATIO.name), f"the ratio of {title} to the baseline's")
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
    title = threshold.metric.title
    unit = {"ms": " ms", "bytes": " bytes"}.get(threshold.metric.unit, "")
    seen, bound = _digits(observed, threshold.bound)
    match threshold.rule:
        case "min":
            return f"{title} {seen} {'reaches' if passes else 'is below'} the minimum {bound}"
        case "max":
            return f"{title} {seen}{unit} {'is within' if passes else 'exceeds'} the maximum {bound}{unit}"
        case "max_drop":
            side, seen = ("above", seen.removeprefix("-")) if observed < 0 else ("below", seen)
            return f"{title} is {seen} {side} the baseline's, {'within' if passes else 'more than'} the largest drop {bound}"
        case "max_rise":
            side, seen = ("below", seen.removeprefix("-")) if observed < 0 else ("above", seen)
            return f"{title} is {seen} {side} the baseline's, {'within' if passes else 'more than'} the largest rise {bound}"
        case "max_ratio":
            return f"{title} is {seen} of the baseline's, {'within' if passes else 'above'} the maximum {bound}"


def _digits(observed: float, bound: float) -> tuple[str, str]:
    """Both numbers short, unless that would make different numbers look alike."""
    short = _short(observed), _short(bound)
    return short if observed == bound or short[0] != short[1] else (repr(observed), repr(bound))


def _short(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{Decimal(f'{value:.4g}'):f}"
