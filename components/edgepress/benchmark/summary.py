"""From durations to the numbers that are reported."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_BEYOND = 10
"""A percentile is reported only when at least this many invocations lie beyond it: p95 needs 200 invocations, p99 1,000. With fewer it
would be the word of one or two outliers."""

_RESAMPLES = 2_000
_SEED = 0


@dataclass(frozen=True)
class Ratio:
    """Latency relative to the baseline's. ``interval`` holds the 2.5 and 97.5 percentiles of a bootstrap over rounds."""

    value: float
    interval: tuple[float, float]


def percentile_ms(durations_ns: NDArray[np.int64], percent: int) -> float | None:
    """A percentile over all counted invocations, linear between neighbours, in milliseconds; None for too few invocations."""
    if durations_ns.size * (100 - percent) < MIN_BEYOND * 100:
        return None
    return float(np.percentile(durations_ns, percent)) / 1e6


def ratio_to_baseline(durations_ns: NDArray[np.int64], baseline_ns: NDArray[np.int64]) -> Ratio:
    """Median over rounds of (model's median / baseline's median) within the same round.

    Args:
        durations_ns, baseline_ns: [rounds, invocations], rounds paired in time.
    """
    ratios = np.median(durations_ns, axis=1) / np.median(baseline_ns, axis=1)
    chosen = np.random.default_rng(_SEED).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[chosen], axis=1), (2.5, 97.5))
    return Ratio(value=float(np.median(ratios)), interval=(float(low), float(high)))
