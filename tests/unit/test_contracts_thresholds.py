import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import GateSettings, threshold_type
from edgepress.contracts.thresholds import RULES as EVERY_RULE
from edgepress.contracts.thresholds import Rule, Threshold, check_threshold, thresholds_of
from edgepress.tasks.registry import METRICS

BASELINE: Metrics = {
    "accuracy": 0.91,
    "size_bytes": 1000,
    "size_gzip_bytes": 800,
    "latency_p50_ms": 0.5,
    "latency_p95_ms": 0.8,
    "latency_ratio": 1.0,
    "accuracy_drop": 0.0,
    "mean_absolute_error": 2.0,
}
COSTS = ("latency_p50_ms", "latency_p95_ms", "size_bytes", "size_gzip_bytes")
RULES: tuple[tuple[str, Rule], ...] = (
    ("accuracy", "min"),
    ("accuracy", "max_drop"),
    *((cost, "max") for cost in COSTS),
    *((cost, "max_ratio") for cost in COSTS),
)


def threshold_of(metric: str, rule: Rule, bound: float) -> Threshold:
    return Threshold(METRICS[metric], rule, bound)


def metrics(**values: float | None) -> Metrics:
    """Metrics without validation, so that NaN and infinity get in as they would past any other guard."""
    return BASELINE | values


@pytest.mark.parametrize(
    ("threshold", "values", "observed", "outcome"),
    [
        (threshold_of("accuracy", "min", 0.9), {"accuracy": 0.9}, 0.9, "passed"),
        (threshold_of("accuracy", "min", 0.9), {"accuracy": 0.8999}, 0.8999, "rejected"),
        # 0.91 - 0.90 is 0.010000000000000009 in binary floating point; the bound is inclusive all the same.
        (threshold_of("accuracy", "max_drop", 0.01), {"accuracy": 0.90}, 0.01, "passed"),
        (threshold_of("accuracy", "max_drop", 0.01), {"accuracy": 0.8999}, 0.0101, "rejected"),
        (threshold_of("accuracy", "max_drop", 0.0), {"accuracy": 0.92}, -0.01, "passed"),
        (threshold_of("size_bytes", "max", 300.0), {"size_bytes": 300}, 300.0, "passed"),
        (threshold_of("size_bytes", "max", 300.0), {"size_bytes": 301}, 301.0, "rejected"),
        (threshold_of("size_gzip_bytes", "max_ratio", 0.3), {"size_gzip_bytes": 240}, 0.3, "passed"),
        (threshold_of("size_gzip_bytes", "max_ratio", 0.3), {"size_gzip_bytes": 241}, 0.30125, "rejected"),
        (threshold_of("latency_p95_ms", "max_ratio", 0.5), {"latency_p95_ms": 0.4}, 0.5, "passed"),
        # The paired ratio decides, not the quotient of two medians (0.4 / 0.5).
        (threshold_of("latency_p50_ms", "max_ratio", 0.9), {"latency_p50_ms": 0.4, "latency_ratio": 0.95}, 0.95, "rejected"),
        (threshold_of("latency_p50_ms", "max", 0.4), {"latency_p50_ms": 0.4}, 0.4, "passed"),
        (threshold_of("mean_absolute_error", "max_rise", 0.1), {"mean_absolute_error": 2.1}, 0.1, "passed"),
        (threshold_of("mean_absolute_error", "max_rise", 0.1), {"mean_absolute_error": 2.11}, 0.11, "rejected"),
        (threshold_of("mean_absolute_error", "max_rise", 0.0), {"mean_absolute_error": 1.9}, -0.1, "passed"),
    ],
)
def test_bounds_are_inclusive(threshold: Threshold, values: dict[str, float], observed: float, outcome: str) -> None:
    check = check_threshold(threshold, metrics(**values), BASELINE)
    assert (check.name, check.observed, check.threshold, check.outcome) == (threshold.name, observed, threshold.bound, outcome)
    assert check.interval is None


@pytest.mark.parametrize(
    ("threshold", "values", "reason"),
    [
        (threshold_of("accuracy", "min", 0.9), {"accuracy": 0.8999}, "accuracy 0.8999 is below the minimum 0.9"),
        (threshold_of("accuracy", "min", 0.9), {"accuracy": 0.89999999}, "accuracy 0.89999999 is below the minimum 0.9"),
        (
            threshold_of("accuracy", "max_drop", 1e-05),
            {"accuracy": 0.9},
            "accuracy is 0.01 below the baseline's, more than the largest drop 0.00001",
        ),
        (
            threshold_of("accuracy", "max_drop", 0.01),
            {"accuracy": 0.92},
            "accuracy is 0.01 above the baseline's, within the largest drop 0.01",
        ),
        (
            threshold_of("size_bytes", "max", 100_000.0),
            {"size_bytes": 316_228},
            "file size 316,228 bytes exceeds the maximum 100,000 bytes",
        ),
        (threshold_of("latency_p95_ms", "max", 0.5), {"latency_p95_ms": 0.467}, "p95 latency 0.467 ms is within the maximum 0.5 ms"),
        (
            threshold_of("size_gzip_bytes", "max_ratio", 0.3),
            {"size_gzip_bytes": 400},
            "gzip size is 0.5 of the baseline's, above the maximum 0.3",
        ),
        (threshold_of("accuracy", "min", 0.9), {"accuracy": None}, "accuracy was not measured"),
        (threshold_of("accuracy", "min", 0.9), {"accuracy": math.nan}, "accuracy is nan, which is not a number to compare"),
    ],
)
def test_reason_is_a_sentence(threshold: Threshold, values: dict[str, float | None], reason: str) -> None:
    assert check_threshold(threshold, metrics(**values), BASELINE).reason == reason


@pytest.mark.parametrize("zero", [0, 0.0, -1.0])
@pytest.mark.parametrize("cost", COSTS)
def test_baseline_of_zero_has_no_ratio(cost: str, zero: float) -> None:
    check = check_threshold(threshold_of(cost, "max_ratio", 1e9), BASELINE, metrics(**{cost: zero}))
    assert check.outcome == "rejected"
    assert "no ratio" in check.reason


@given(
    rule=st.sampled_from(RULES),
    bound=st.floats(min_value=0.0, max_value=1e12),
    broken=st.sampled_from([None, math.nan, math.inf, -math.inf]),
    where=st.sampled_from(["model", "baseline"]),
)
@settings(deadline=None)
def test_missing_or_non_finite_never_passes(rule: tuple[str, Rule], bound: float, broken: float | None, where: str) -> None:
    threshold = threshold_of(*rule, bound)
    bad = metrics(**{threshold.metric.name: broken})
    if where == "model":
        check = check_threshold(threshold, bad, BASELINE)
    elif threshold.rule in ("min", "max"):
        return
    else:
        check = check_threshold(threshold, BASELINE, bad)
    assert check.outcome == "rejected"
    assert check.observed is None
    check.model_validate_json(check.model_dump_json())  # fit for a verdict


@given(broken=st.sampled_from([None, math.nan, math.inf]))
def test_missing_paired_ratio_never_passes(broken: float | None) -> None:
    assert check_threshold(threshold_of("latency_p50_ms", "max_ratio", 1e9), metrics(latency_ratio=broken), BASELINE).outcome == "rejected"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_non_finite_bound_never_passes(rule: tuple[str, Rule], bound: float) -> None:
    assert check_threshold(threshold_of(*rule, bound), BASELINE, BASELINE).outcome == "rejected"


@given(
    rule=st.sampled_from(RULES),
    accuracy=st.floats(min_value=0.0, max_value=1.0),
    cost=st.floats(min_value=0.001, max_value=1e6),
    bound=st.floats(min_value=0.001, max_value=1e6),
    slack=st.floats(min_value=0.0, max_value=1e6),
)
@settings(deadline=None)
def test_loosening_never_turns_a_pass_into_a_rejection(
    rule: tuple[str, Rule], accuracy: float, cost: float, bound: float, slack: float
) -> None:
    metric, kind = rule
    observed = metrics(accuracy=accuracy, latency_ratio=cost / 0.5, **dict.fromkeys(COSTS, cost))
    tight = threshold_of(metric, kind, bound)
    loose = threshold_of(metric, kind, bound - slack if kind == "min" else bound + slack)
    if check_threshold(tight, observed, BASELINE).outcome == "passed":
        assert check_threshold(loose, observed, BASELINE).outcome == "passed"


@given(correct=st.integers(0, 10_000), lost=st.integers(0, 10_000))
@settings(deadline=None)
def test_drop_of_exactly_the_bound_passes_for_every_count(correct: int, lost: int) -> None:
    baseline = (correct + lost) / 10_000
    if baseline > 1:
        return
    threshold = threshold_of("accuracy", "max_drop", lost / 10_000)
    assert check_threshold(threshold, metrics(accuracy=correct / 10_000), metrics(accuracy=baseline)).outcome == "passed"


@pytest.mark.parametrize(
    ("metric", "rule", "idle", "strict"),
    [
        ("accuracy", "min", 0.0, 0.001),
        ("accuracy", "max_drop", 1.0, 0.999),
        ("accuracy_drop", "max", 1.0, 0.999),
        ("corrections", "min", 0.0, 1.0),
        ("sparsity", "min", 0.0, 0.01),
        ("size_bytes", "max", 1e300, 4e9),
        ("size_gzip_bytes", "max_ratio", 64.0, 2.0),
        ("latency_p50_ms", "max_ratio", 1e300, 20.0),
        ("latency_ratio", "max", 1e300, 20.0),
        ("latency_p99_ms", "max", 1e300, 60_000.0),
        ("regressions", "max", 1e300, 0.0),
        ("calibration_error", "max_ratio", 1e300, 1.5),
    ],
)
def test_a_threshold_that_cannot_fail_is_told_from_one_that_can(metric: str, rule: Rule, idle: float, strict: float) -> None:
    assert [threshold_of(metric, rule, bound).cannot_fail for bound in (idle, strict)] == [True, False]


@pytest.mark.parametrize("bound", [0.0, -3.0, 1e6])
def test_a_unit_without_bounds_has_no_idle_threshold(bound: float) -> None:
    """R2 has no lowest value, and only its user knows what is much in the units of the labels."""
    assert not threshold_of("r2", "min", bound).cannot_fail
    assert not threshold_of("mean_absolute_error", "max", bound).cannot_fail


def test_thresholds_come_in_the_order_of_the_metrics() -> None:
    policy = GateSettings.model_validate_json(
        '{"accuracy": {"max_drop": 0.01, "min": 0.9}, "size_gzip_bytes": {"max_ratio": 0.3}, "latency_p50_ms": {"max": 1}}'
    )
    assert [threshold.name for threshold in thresholds_of(policy)] == [
        "accuracy.min",
        "accuracy.max_drop",
        "size_gzip_bytes.max_ratio",
        "latency_p50_ms.max",
    ]
    assert thresholds_of(GateSettings()) == ()


@pytest.mark.parametrize("metric", METRICS)
def test_every_threshold_group_of_the_policy_is_enforced(metric: str) -> None:
    rules = threshold_type(METRICS[metric]).model_fields
    assert set(rules) <= set(EVERY_RULE)
    for rule in rules:
        policy = GateSettings.model_validate_json(f'{{"{metric}": {{"{rule}": 0.5}}}}')
        assert policy.has_threshold()
        assert [threshold.name for threshold in thresholds_of(policy)] == [f"{metric}.{rule}"]
