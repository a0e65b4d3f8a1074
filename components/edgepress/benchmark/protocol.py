"""How latency is measured so that ratios can be trusted.

All models run in one process and one thread, interleaved: a machine that is slow for a while is slow for all of them, and the order is
shuffled for each round, so that none always follows the same one. Only ``invoke()`` is timed; setting the next example is not. What a
call from Python costs, about a microsecond, is in every number.
"""

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.config import BenchmarkSettings

REFILL_INVOCATIONS = 3
"""Run uncounted when a model's turn comes: the model before it has filled the caches with its own weights, and one slow invocation in
fifty would decide the p99."""

_PROGRESS_INTERVAL_NS = 2_000_000_000
_ORDER_SEED = 0


@dataclass(frozen=True)
class Subject:
    """A model under measurement. ``set_example(i)`` puts the i-th example, modulo their number, into the input tensors."""

    name: str
    set_example: Callable[[int], None]
    invoke: Callable[[], None]


def measure(
    subjects: Sequence[Subject],
    settings: BenchmarkSettings,
    clock: Callable[[], int] = time.perf_counter_ns,
    report: Callable[[str], None] = print,
) -> NDArray[np.int64]:
    """Time every subject ``rounds * invocations_per_round`` times.

    Args:
        subjects: what to time.
        settings: how often.
        clock: in nanoseconds, monotonic.
        report: takes a line of progress, at most every two seconds.

    Returns:
        Durations in nanoseconds, int64 [subjects, rounds, invocations_per_round], in the order of ``subjects``.
    """
    durations_ns = np.empty((len(subjects), settings.rounds, settings.invocations_per_round), np.int64)
    order = list(range(len(subjects)))
    generator = random.Random(_ORDER_SEED)
    collects = gc.isenabled()
    gc.disable()
    try:
        for subject in subjects:
            _run(subject, settings.warmup_invocations)
        told = clock()
        for round_ in range(settings.rounds):
            generator.shuffle(order)
            for number in order:
                _run(subjects[number], REFILL_INVOCATIONS)
                first = round_ * settings.invocations_per_round
                _time(subjects[number], first, durations_ns[number, round_], clock)
            now = clock()
            if now - told >= _PROGRESS_INTERVAL_NS:
                report(f"benchmark: round {round_ + 1} of {settings.rounds}")
                told = now
    finally:
        if collects:
            gc.enable()
    return durations_ns


def _run(subject: Subject, invocations: int) -> None:
    for example in range(invocations):
        subject.set_example(example)
        subject.invoke()


def _time(subject: Subject, first_example: int, durations_ns: NDArray[np.int64], clock: Callable[[], int]) -> None:
    set_example, invoke = subject.set_example, subject.invoke
    for index in range(len(durations_ns)):
        set_example(first_example + index)
        began = clock()
        invoke()
        durations_ns[index] = clock() - began
