"""Stages killed in the middle of their training, as a replaced pod is: another process goes on from the state in a real S3 server."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.candidate import read_candidate
from edgepress.contracts.dataset import open_dataset
from edgepress.contracts.stages import PruneSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.models.storage import load_model
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.ml.tiny_candidates import dense, write_baseline, write_digits

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

TRAIN = TrainSettings(epochs=8, batch_size=8, learning_rate=0.001)
SETTINGS: dict[str, PruneSettings | QuantizeSettings] = {
    "prune": PruneSettings(final_sparsity=0.6, frequency=40, end_step=600, train=TRAIN),
    "quantize": QuantizeSettings(train=TRAIN),
}
STEPS: dict[str, Callable[..., None]] = {"prune": prune, "quantize": quantize}
URI = "s3://edgepress/team/state/recipe"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candidates")
    write_digits(folder / "dataset")
    write_baseline(folder / "baseline", open_dataset(folder / "dataset"), dense, epochs=2)
    return folder


def start(stage: str, place: Path, output: Path, *options: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """The stage's own command, in a process of its own."""
    settings = SETTINGS[stage].model_dump_json()
    arguments = ["--recipe=all", f"--settings={settings}", f"--candidate={place / 'baseline'}", f"--dataset={place / 'dataset'}"]
    return subprocess.Popen(
        [sys.executable, "-m", f"edgepress.compress.{stage}", *arguments, f"--output={output}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finish(process: "subprocess.Popen[str]") -> str:
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


@pytest.mark.parametrize("stage", list(SETTINGS))
def test_a_killed_stage_goes_on_in_another_process(server: EmbeddedStore, place: Path, tmp_path: Path, stage: str) -> None:
    with start(stage, place, tmp_path / "out", f"--state={URI}/{stage}") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 3/"):
                process.kill()
    assert process.returncode == -9
    assert not (tmp_path / "out").exists()
    store, prefix = open_store(f"{URI}/{stage}")
    kept = store.list_keys(f"{prefix}/")
    assert len(kept) == 1

    printed = finish(start(stage, place, tmp_path / "out", f"--state={URI}/{stage}"))
    assert printed.startswith("going on after epoch ")
    assert "epoch 3/8" not in printed
    assert "epoch 8/8" in printed
    assert store.list_keys(f"{prefix}/") == kept

    paths = {"candidate": place / "baseline", "dataset": place / "dataset", "output": tmp_path / "whole"}
    STEPS[stage](recipe="all", settings=SETTINGS[stage], **paths)
    found, expected = (read_candidate(tmp_path / name).stage(stage) for name in ("out", "whole"))
    assert found is not None
    assert expected is not None
    assert found.facts.get("sparsity") == expected.facts.get("sparsity")
    for name, curve in expected.curves.items():
        np.testing.assert_allclose(found.curves[name], curve, rtol=2e-2, atol=2e-3, err_msg=name)
    if found.facts["best_epoch"] == expected.facts["best_epoch"]:
        for own, its in zip(load_model(tmp_path / "out").get_weights(), load_model(tmp_path / "whole").get_weights(), strict=True):
            np.testing.assert_allclose(own, its, atol=2e-2)


def test_a_stage_does_not_start_over_because_its_store_refuses(server: EmbeddedStore, place: Path, tmp_path: Path) -> None:
    process = start("prune", place, tmp_path / "out", f"--state={URI}/prune", environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "epoch 1/" not in printed
    assert list(tmp_path.iterdir()) == []
