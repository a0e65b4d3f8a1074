"""Keeping the measuring thread on one core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def pinned_to_fastest_core(pin: bool) -> Iterator[int | None]:
    """Keep the calling thread on its fastest allowed core for the block, then give back what was allowed before.

    On processors with big and little cores a thread that wanders measures a mixture. The fastest is the one with the highest maximal
    frequency; among equals the last, because the first one serves most interrupts.

    Yields:
        The core's number; None when not asked to pin, or where the system cannot.
    """
    if not pin or not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    core = max(allowed, key=lambda number: (_highest_frequency_khz(number), number))
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)


def _highest_frequency_khz(core: int) -> int:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq")
    return int(path.read_text()) if path.exists() else 0
