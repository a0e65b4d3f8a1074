"""How long ``edgepress --help`` takes, as a whole process. Bound: 0.5 s."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.machine import save, statement

RUNS = 20


def main() -> None:
    """Measure, and write results/help_time.json."""
    measured_on = statement()
    command = [str(Path(sys.executable).with_name("edgepress")), "--help"]
    subprocess.run(command, capture_output=True, check=True)  # the first one writes bytecode
    durations_s = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        durations_s.append(time.perf_counter() - started)
    save(
        "help_time", {"runs": RUNS, "median_s": round(statistics.median(durations_s), 3), "max_s": round(max(durations_s), 3)}, measured_on
    )


if __name__ == "__main__":
    main()
