"""What a figure is worth little without: the machine, the moment and the commit it was measured on."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from edgepress.benchmark.hardware import describe_hardware
from edgepress.contracts.json_file import write_json
from edgepress.tflite.litert import runtime_version

REPOSITORY = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
WORK = REPOSITORY / ".edgepress" / "bench"
CONFIGS = REPOSITORY / "pipelines" / "edgepress_pipelines" / "configs"


def statement() -> dict[str, Any]:
    """Machine, load, commit and time of a measurement."""
    hardware = describe_hardware(runtime_version(), 1, None, None)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    return {
        "cpu": hardware.cpu,
        "cores": hardware.cores,
        "runtime": hardware.runtime,
        "load_average_1m": hardware.load_average_1m,
        "commit": commit.strip() or None,
        "measured_utc": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
    }


def save(name: str, figures: dict[str, Any], measured_on: dict[str, Any]) -> None:
    """Write one benchmark's result into ``results/<name>.json`` and show it."""
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{name}.json", {"machine": measured_on, "figures": figures})
    print(json.dumps(figures, indent=2))
