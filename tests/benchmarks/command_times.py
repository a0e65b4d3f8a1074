"""How long ``edgepress --help`` and ``edgepress compile`` take, as whole processes. Bounds: 0.5 s and 3 s."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import CONFIGS, REPOSITORY, WORK, save, statement

RUNS = 20


def main() -> None:
    """Measure, and write results/command_times.json."""
    measured_on = statement()
    WORK.mkdir(parents=True, exist_ok=True)
    compile_options = [
        *("--output", str(WORK / "pipeline.yaml")),
        *("--image-lock", str(REPOSITORY / "manifests" / "images" / "lock.example" / "kustomization.yaml")),
        *("--set", "resources.kubeflow.storage_uri=s3://my-bucket/edgepress"),
        *("--set", "release.uri=s3://my-bucket/releases"),
    ]
    figures: dict[str, Any] = {"runs": RUNS}
    for name, arguments in {"help": ["--help"], "compile": ["compile", str(CONFIGS / "fashion-mnist.yaml"), *compile_options]}.items():
        durations_s = _time([str(Path(sys.executable).with_name("edgepress")), *arguments])
        figures |= {f"{name}_median_s": round(statistics.median(durations_s), 3), f"{name}_max_s": round(max(durations_s), 3)}
    save("command_times", figures, measured_on)


def _time(command: list[str]) -> list[float]:
    """Seconds of each of ``RUNS`` runs, after one that writes bytecode."""
    durations_s = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        durations_s.append(time.perf_counter() - started)
    return durations_s[1:]


if __name__ == "__main__":
    main()
