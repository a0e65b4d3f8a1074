"""Fashion-MNIST, full training set, ResNet-8: each recipe's test accuracy, gzip bytes and median latency against the float baseline.

The run itself judges only its nominee on test data. The recipes were fixed before; their test accuracies are for the README, and select
nothing. A benchmark that was interrupted goes on from its last finished epoch or task.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.contracts.dataset import open_dataset
from edgepress.tflite.litert import LiteRTModel
from tests.benchmarks.machine import WORK, save, statement

CONFIG = Path(__file__).parent / "fashion-mnist-full.yaml"
WORKDIR = WORK / "fashion-mnist"


def main() -> None:
    """Run the pipeline, measure each recipe on test data, and write results/fashion_mnist.json."""
    measured_on = statement()
    command = [sys.executable, "-m", "edgepress_pipelines", "run", str(CONFIG), "--workdir", str(WORKDIR)]
    finished = subprocess.run(command, check=False)
    if finished.returncode not in (0, 10):
        sys.exit(finished.returncode)
    run = WORKDIR / "runs" / "latest"
    verdict = json.loads((run / "verdict.json").read_text())
    dataset = open_dataset(WORKDIR / "datasets" / verdict["dataset_digest"].removeprefix("sha256:"))
    rows = [_row("baseline", verdict["baseline"]["metrics"], run, dataset)]
    rows += [_row(candidate["recipe"], candidate["metrics"], run, dataset) for candidate in verdict["candidates"]]
    baseline = rows[0]
    for row in rows:
        row["accuracy_drop"] = round(baseline["test_accuracy"] - row["test_accuracy"], 4)
        row["gzip_ratio"] = round(row["size_gzip_bytes"] / baseline["size_gzip_bytes"], 4)
        row["speedup_p50"] = round(baseline["latency_p50_ms"] / row["latency_p50_ms"], 2)
    figures = {"outcome": verdict["outcome"], "nominee": verdict["nominee"], "hardware": verdict["hardware"], "recipes": rows}
    save("fashion_mnist", figures, measured_on)
    print(_table(rows))


def _row(recipe: str, metrics: dict[str, Any], run: Path, dataset: Any) -> dict[str, Any]:
    split = dataset.split("test")
    model = LiteRTModel.open(run / "models" / f"{recipe}.tflite")
    predictions = model.predict(split.inputs).argmax(axis=1)
    return {
        "recipe": recipe,
        "test_accuracy": round(float(np.mean(predictions == split.labels)), 4),
        "size_bytes": metrics["size_bytes"],
        "size_gzip_bytes": metrics["size_gzip_bytes"],
        "latency_p50_ms": metrics["latency_p50_ms"],
        "latency_p95_ms": metrics["latency_p95_ms"],
        "macs": metrics["macs"],
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| recipe | test accuracy | lost (points) | bytes | gzip bytes | of baseline | p50 us | faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['recipe']} | {row['test_accuracy']:.4f} | {row['accuracy_drop'] * 100:+.2f} | {row['size_bytes']:,} | "
        f"{row['size_gzip_bytes']:,} | {row['gzip_ratio']:.3f} | {row['latency_p50_ms'] * 1000:.0f} | {row['speedup_p50']:.2f}x |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
