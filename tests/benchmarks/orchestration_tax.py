"""What orchestration costs: wall time of ``edgepress run`` at parallelism 1 over the same steps in one Python process. Bound: 1.35.

Both are timed as whole processes, from empty folders, the embedded store included, on the configuration of ``make run``.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.machine import CONFIGS, REPOSITORY, WORK, save, statement

CONFIG = CONFIGS / "fashion-mnist.yaml"


def main() -> None:
    """Measure, and write results/orchestration_tax.json."""
    measured_on = statement()
    folder = WORK / "tax"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = [sys.executable, "-m", "edgepress_pipelines", "run", str(CONFIG), "--workdir", str(folder / "run"), "--plain"]
    pipeline_s = _time([*run, "--set", "resources.parallelism=1"], folder / "run.log", allowed=(0, 10))
    one_process_s = _time(
        [sys.executable, "-m", "tests.benchmarks.one_process", str(CONFIG), str(folder / "one")], folder / "one.log", allowed=(0,)
    )
    figures = {
        "config": CONFIG.name,
        "edgepress_run_s": round(pipeline_s, 1),
        "one_process_s": round(one_process_s, 1),
        "ratio": round(pipeline_s / one_process_s, 3),
    }
    save("orchestration_tax", figures, measured_on)


def _time(command: list[str], log: Path, allowed: tuple[int, ...]) -> float:
    print(f"timing {' '.join(command[1:4])} … (output in {log})", flush=True)
    started = time.perf_counter()
    with log.open("wb") as output:
        finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY, check=False)
    if finished.returncode not in allowed:
        sys.exit(f"{command[2]} ended with {finished.returncode}; see {log}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
