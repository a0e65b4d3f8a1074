"""How long ``make run`` takes once everything is installed, for both bundled configurations, and again with nothing changed.

Bounds: Fashion-MNIST 10 minutes, digits 3 minutes; again: 20 s and the time of the latency benchmark, which is never taken from the cache.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import CONFIGS, REPOSITORY, WORK, save, statement


def main() -> None:
    """Measure, and write results/whole_runs.json."""
    measured_on = statement()
    figures: dict[str, Any] = {}
    for config in ("fashion-mnist", "digits"):
        folder = WORK / "whole-runs" / config
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("first", "again"):
            started = time.perf_counter()
            outcome = _run(CONFIGS / f"{config}.yaml", folder, folder / f"{name}.log")
            figures |= {f"{config}_{name}_s": round(time.perf_counter() - started, 1), f"{config}_{name}_outcome": outcome}
        figures[f"{config}_benchmark_s"] = _benchmark_s(folder)
    save("whole_runs", figures, measured_on)


def _run(config: Path, workdir: Path, log: Path) -> str:
    print(f"timing edgepress run {config.name} … (output in {log})", flush=True)
    command = [sys.executable, "-m", "edgepress_pipelines", "run", str(config), "--workdir", str(workdir), "--plain"]
    with log.open("wb") as output:
        finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY, check=False)
    if finished.returncode not in (0, 10):
        sys.exit(f"edgepress run {config.name} ended with {finished.returncode}; see {log}")
    return "released" if finished.returncode == 0 else "rejected"


def _benchmark_s(workdir: Path) -> float:
    """Duration of the latency benchmark in the newest run."""
    events = [json.loads(line) for line in (workdir / "runs" / "latest" / "events.jsonl").read_text().splitlines()]
    return round(max(event["duration_s"] for event in events if event["task"] == "benchmark" and event["duration_s"]), 1)


if __name__ == "__main__":
    main()
