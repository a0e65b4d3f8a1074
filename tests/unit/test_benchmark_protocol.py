"""The protocol against a clock that only the subjects move: what is timed, how often, in which order."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

from edgepress.benchmark.protocol import REFILL_INVOCATIONS, Subject, measure
from edgepress.benchmark.summary import ratio_to_baseline
from edgepress.contracts.config import BenchmarkSettings

SETTINGS = BenchmarkSettings(warmup_invocations=7, rounds=20, invocations_per_round=10)


class Bench:
    """A clock in nanoseconds, and subjects that take a given time of it."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []
        self.examples: dict[str, list[int]] = {}
        self.collecting = False

    def clock(self) -> int:
        return self.now_ns

    def subject(self, name: str, duration_ns: Callable[[int], float]) -> Subject:
        """A subject whose invocation at a time takes ``duration_ns`` of that time; setting its example takes a second."""

        def set_example(index: int) -> None:
            self.now_ns += 1_000_000_000
            self.examples.setdefault(name, []).append(index)

        def invoke() -> None:
            self.calls.append(name)
            self.collecting |= gc.isenabled()
            self.now_ns += int(duration_ns(self.now_ns))

        return Subject(name=name, set_example=set_example, invoke=invoke)


def test_only_the_invocation_is_timed_and_everything_is_counted() -> None:
    bench = Bench()
    durations = measure([bench.subject("a", lambda _: 300), bench.subject("b", lambda _: 700)], SETTINGS, bench.clock, lambda _: None)
    assert durations.shape == (2, 20, 10)
    assert np.unique(durations[0]).tolist() == [300]
    assert np.unique(durations[1]).tolist() == [700]
    for name in ("a", "b"):
        assert bench.calls.count(name) == 7 + 20 * (10 + REFILL_INVOCATIONS)


def test_models_are_interleaved_in_an_order_that_changes_and_repeats_between_runs() -> None:
    def orders() -> list[tuple[str, ...]]:
        bench = Bench()
        measure([bench.subject(name, lambda _: 1) for name in "abc"], SETTINGS, bench.clock, lambda _: None)
        turns = bench.calls[3 * 7 :: 10 + REFILL_INVOCATIONS]
        return [tuple(turns[start : start + 3]) for start in range(0, len(turns), 3)]

    seen = orders()
    assert all(sorted(order) == ["a", "b", "c"] for order in seen)
    assert len(set(seen)) > 2
    assert seen == orders()


def test_every_model_is_timed_on_the_same_examples() -> None:
    bench = Bench()
    measure([bench.subject("a", lambda _: 1), bench.subject("b", lambda _: 1)], SETTINGS, bench.clock, lambda _: None)
    assert bench.examples["a"] == bench.examples["b"]
    assert set(range(200)) <= set(bench.examples["a"])


def test_ratios_hold_while_the_machine_slows_down() -> None:
    """A machine that gets ten times slower during the run: medians are worth nothing, the paired ratio stays exact."""
    bench = Bench()
    end_ns = 20 * 2 * 13 * 1_000_000_000

    def slowed(duration_ns: float) -> Callable[[int], float]:
        return lambda now_ns: duration_ns * (1 + 9 * now_ns / end_ns)

    durations = measure([bench.subject("a", slowed(1e6)), bench.subject("b", slowed(5e5))], SETTINGS, bench.clock, lambda _: None)
    ratio = ratio_to_baseline(durations[1], durations[0])
    assert np.median(durations[0][-1]) > 5 * np.median(durations[0][0])
    assert ratio.value == pytest.approx(0.5, rel=0.05)
    assert ratio.interval[0] <= ratio.value <= ratio.interval[1]


def test_the_collector_rests_and_wakes_up_again() -> None:
    bench = Bench()
    assert gc.isenabled()
    measure([bench.subject("a", lambda _: 1)], SETTINGS, bench.clock, lambda _: None)
    assert not bench.collecting
    assert gc.isenabled()

    def fail(_: int) -> float:
        raise RuntimeError("the model fails")

    with pytest.raises(RuntimeError, match="the model fails"):
        measure([bench.subject("a", fail)], SETTINGS, bench.clock, lambda _: None)
    assert gc.isenabled()


def test_progress_is_told_at_most_every_two_seconds() -> None:
    bench = Bench()
    lines: list[str] = []
    measure([bench.subject("a", lambda _: 1)], SETTINGS, bench.clock, lines.append)  # a round takes 13 s of the bench's clock
    assert lines == [f"benchmark: round {round_} of 20" for round_ in range(1, 21)]
    lines.clear()
    measure([Subject("quick", lambda _: None, lambda: None)], SETTINGS, report=lines.append)
    assert lines == []
