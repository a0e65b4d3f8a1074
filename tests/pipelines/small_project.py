"""A project that runs in seconds: 600 of scikit-learn's digits, a small dense baseline, and recipes that tests choose."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.datasets import load_digits

from tests.pipelines.foreground import heed_interrupts
from tests.pipelines.replay import RECORDINGS_VARIABLE, forbid_tensorflow, replay_steps

REPOSITORY = Path(__file__).parents[2]
SOURCE_ROOTS = ("components", "pipelines")


def recipes() -> list[dict[str, Any]]:
    """One recipe that only converts, and one that trains."""
    return [
        {"recipe": "float16", "convert": {"quantization": "float16"}},
        {
            "recipe": "pruned-int8",
            "prune": {"final_sparsity": 0.5, "frequency": 2, "train": {"epochs": 2, "batch_size": 32}},
            "convert": {"quantization": "int8", "representative_dataset": {"samples": 50}},
        },
    ]


@dataclass
class SmallProject:
    """A folder with data, a configuration, a working directory, and a copy of the code that a test may edit."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    search_path: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = {
            "schema_version": 1,
            "name": "small",
            "dataset": {"source": "data.npz", "validation_fraction": 0.2, "test_fraction": 0.2},
            "baseline": {"model": "mlp", "params": {"hidden": [16]}, "train": {"epochs": 12, "batch_size": 32, "learning_rate": 0.005}},
            "recipes": recipes(),
            "gate": {"objective": "size_gzip_bytes", "accuracy": {"min": 0.5, "max_drop": 0.2}},
            "benchmark": {"rounds": 5, "invocations_per_round": 50},
        }
        self.write_data(brightness=1.0)
        self.temporary.mkdir()
        self.search_path = [*(self.folder / "code" / root for root in SOURCE_ROOTS), REPOSITORY]
        for root in SOURCE_ROOTS:
            shutil.copytree(REPOSITORY / root, self.folder / "code" / root, ignore=shutil.ignore_patterns("__pycache__"))

    def write_data(self, brightness: float) -> None:
        """600 digits, [8, 8, 1] float32 times ``brightness``."""
        digits = load_digits()
        images = (digits.images[:600, :, :, None] / 16.0 * brightness).astype(np.float32)
        np.savez(self.folder / "data.npz", x=images, y=digits.target[:600])

    @property
    def workdir(self) -> Path:
        return self.folder / "work"

    @property
    def temporary(self) -> Path:
        """Where this project's runs make temporary files."""
        return self.folder / "temporary"

    def code(self, path: str) -> Path:
        """A source file of this project's own copy, e.g. ``components/edgepress/convert/step.py``."""
        return self.folder / "code" / path

    def record(self) -> None:
        """Have the next run keep what its steps compute with TensorFlow."""
        replay_steps(self.folder / "code" / "components")

    def replay(self) -> None:
        """Have every later run repeat what was kept, without TensorFlow."""
        self.search_path.insert(0, forbid_tensorflow(self.folder / "without-tensorflow"))

    def start(self, *options: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``edgepress run``; in a session of its own, as a terminal's foreground job is."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        search_path = os.pathsep.join(map(str, self.search_path))
        return subprocess.Popen(
            [sys.executable, "-m", "edgepress_pipelines", "run", str(path), "--workdir", str(self.workdir), "--plain", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,
            env={
                **os.environ,
                "PYTHONPATH": search_path,
                "CUDA_VISIBLE_DEVICES": "",
                "TMPDIR": str(self.temporary),
                RECORDINGS_VARIABLE: str(self.folder / "recordings"),
                **(environment or {}),
            },
        )

    def run(self, *options: str, environment: dict[str, str] | None = None, timeout_s: float = 280) -> "FinishedRun":
        """Run to the end."""
        process = self.start(*options, environment=environment)
        output, _ = process.communicate(timeout=timeout_s)
        return FinishedRun(self, process.returncode, output)


@dataclass
class FinishedRun:
    """What a run left behind."""

    project: SmallProject
    exit_code: int
    output: str

    @property
    def run_dir(self) -> Path:
        """The newest run's folder, whether it reached a verdict or not."""
        return max(path for path in (self.project.workdir / "runs").iterdir() if not path.is_symlink())

    @property
    def verdict(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.run_dir / "verdict.json").read_text())
        return loaded

    def executed(self) -> set[tuple[str, str | None]]:
        """The tasks that really ran, as (task, recipe): those that were not taken from the cache."""
        events = [json.loads(line) for line in (self.run_dir / "events.jsonl").read_text().splitlines()]
        return {(event["task"], event["recipe"]) for event in events if event["state"] == "started"}


def processes_of(workdir: Path) -> list[int]:
    """Processes whose environment or command line names a working directory: a run's command, engine, tasks and store."""
    wanted = str(workdir).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = wanted in (process / "environ").read_bytes() or wanted in (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if named and state != "Z" and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found
