"""Percentiles and ratios against known distributions, and how many invocations each percentile asks for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgepress.benchmark.summary import percentile_ms, ratio_to_baseline
from edgepress.contracts.config import BenchmarkSettings


def test_percentiles_of_an_even_distribution() -> None:
    durations = np.random.default_rng(0).permutation(np.arange(1, 1002) * 1_000_000).reshape(7, 143)  # 1 to 1001 ms
    assert [percentile_ms(durations, percent) for percent in (50, 95, 99)] == [501.0, 951.0, 991.0]


def test_percentiles_of_an_exponential_distribution() -> None:
    durations = np.random.default_rng(1).exponential(2e6, (100, 2000)).astype(np.int64)  # mean 2 ms: quantile q is -2 ln(1 - q)
    for percent in (50, 95, 99):
        assert percentile_ms(durations, percent) == pytest.approx(-2 * np.log(1 - percent / 100), rel=0.02)


@pytest.mark.parametrize(("percent", "fewest"), [(50, 20), (95, 200), (99, 1000)])
def test_a_percentile_needs_ten_invocations_beyond_it(percent: int, fewest: int) -> None:
    assert percentile_ms(np.ones(fewest, np.int64), percent) == 1e-6
    assert percentile_ms(np.ones(fewest - 1, np.int64), percent) is None


def test_settings_ask_for_what_p95_needs_and_give_p99_by_default() -> None:
    with pytest.raises(ValidationError, match="rounds 3 times invocations_per_round 50 is 150 invocations, but a p95 needs at least 200"):
        BenchmarkSettings(rounds=3)
    defaults = BenchmarkSettings()
    assert percentile_ms(np.ones(defaults.rounds * defaults.invocations_per_round, np.int64), 99) is not None


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 20.0))
def test_a_constant_factor_is_the_ratio(seed: int, factor: float) -> None:
    baseline = np.random.default_rng(seed).integers(1_000_000, 9_000_000, (5, 6))
    ratio = ratio_to_baseline(np.round(baseline * factor).astype(np.int64), baseline)
    assert ratio.value == pytest.approx(factor, rel=1e-4)
    assert ratio.interval == pytest.approx((factor, factor), rel=1e-4)


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    """200 experiments of 30 noisy rounds with a true ratio of 0.8."""
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        baseline = generator.normal(1e6, 1e5, (30, 5)).astype(np.int64)
        model = generator.normal(8e5, 8e4, (30, 5)).astype(np.int64)
        low, high = ratio_to_baseline(model, baseline).interval
        covered += low <= 0.8 <= high
    assert 0.88 <= covered / 200 <= 1.0


def test_a_few_interrupted_invocations_do_not_move_the_ratio() -> None:
    baseline = np.full((30, 50), 400_000)
    model = np.full((30, 50), 200_000)
    model[:, :10] = 50_000_000
    assert ratio_to_baseline(model, baseline).value == 0.5
