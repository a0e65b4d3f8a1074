"""A candidate's SavedModel goes through evaluation, benchmark and release as its ``.tflite`` does."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.candidate import SAVED_MODEL_NAME, read_candidate, write_candidate
from edgepress.contracts.evaluation import compare, open_evaluation
from edgepress.contracts.latency import read_benchmark
from edgepress.contracts.verdict import read_verdict
from edgepress.device.archive import read_archive, write_archive
from edgepress.device.self_test import golden_name
from edgepress.errors import IntegrityError, ModelError
from edgepress.evaluate.step import evaluate
from edgepress.models.keras import tf
from edgepress.release.golden import check_all_golden
from edgepress.release.verify import verify_bundle
from edgepress.runtimes.saved_model import SavedModel
from tests.ml.saved_models import add_saved_model
from tests.unit.candidate_files import write_dataset, write_model
from tests.unit.release_files import build_sample, write_judged, write_verdict

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    images = np.random.default_rng(11).uniform(size=(100, 8, 8, 1)).astype(np.float32)
    return write_dataset(tmp_path / "dataset", {"image": images}, np.arange(100) % 3, 3, {})


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    path = write_model(tmp_path / "baseline", "baseline", "conv_float32")
    add_saved_model(path, "convolutional")
    return path


def test_an_evaluation_of_each_kind_is_comparable_with_the_other(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    for kind in ("tflite", "saved_model"):
        evaluate(recipe="baseline", artifact=kind, candidate=candidate, dataset=dataset, split="validation", output=tmp_path / kind)
    shipped, served = (open_evaluation(tmp_path / kind) for kind in ("tflite", "saved_model"))
    assert served.record.runtime == f"tensorflow {tf.__version__}"
    assert served.record.metrics["accuracy"] == shipped.record.metrics["accuracy"]
    assert compare(served, shipped)["agreement"] == 1.0
    size, gzip_size = served.record.metrics["size_bytes"], served.record.metrics["size_gzip_bytes"]
    assert size == sum(path.stat().st_size for path in (candidate / SAVED_MODEL_NAME).rglob("*") if path.is_file())
    assert size is not None
    assert gzip_size is not None
    assert 0 < gzip_size < size
    assert "macs" not in served.record.metrics, "its graph is not read"


def test_saved_models_are_benchmarked_in_a_process_of_their_own(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    """Of their own, because the number of TensorFlow's threads is fixed once it has computed."""
    settings = ["--settings", "{rounds: 10, invocations_per_round: 20}", "--artifact", "saved_model"]
    paths = ["--baseline", candidate, "--candidates", copy_as("other", candidate), "--dataset", dataset, "--output", tmp_path / "out"]
    command = [sys.executable, "-m", "edgepress.benchmark", *settings, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = read_benchmark(tmp_path / "out")
    assert result.hardware.runtime == f"tensorflow {tf.__version__}"
    assert [(model.recipe, model.artifact) for model in result.models] == [("baseline", "saved_model"), ("other", "saved_model")]
    for model in result.models:
        assert model.model_digest == read_candidate(candidate).artifacts["saved_model"]
        assert model.peak_memory_bytes > 0
    tf.constant(1.0)
    with pytest.raises(ModelError, match="saved_model: TensorFlow has computed in this process already, not on 1 thread; use a new one"):
        SavedModel(candidate / SAVED_MODEL_NAME, "saved_model", threads=1)


def copy_as(recipe: str, candidate: Path) -> Path:
    """A candidate of another recipe with the same artifacts."""
    path = candidate.with_name(recipe)
    shutil.copytree(candidate, path)
    write_candidate(path, read_candidate(path).model_copy(update={"recipe": recipe}))
    return path


def test_what_was_judged_as_a_saved_model_has_golden_outputs_of_its_own(tmp_path: Path) -> None:
    judged = write_judged(tmp_path, "conv_float32")
    shutil.rmtree(judged.nominee / SAVED_MODEL_NAME)
    digest = add_saved_model(judged.nominee, "convolutional")
    verdict = read_verdict(judged.verdict)
    served = verdict.targets[0].model_copy(update={"channel": "serving/digits", "artifact": "saved_model", "digest": digest})
    write_verdict(judged.verdict, verdict.model_copy(update={"targets": (*verdict.targets, served)}))
    manifest = build_sample(tmp_path / "bundle", judged)
    assert list(manifest.golden.tolerance) == ["tflite", "saved_model"]
    assert f"tensorflow {tf.__version__}" in manifest.versions.runtime
    expected = {kind: read_archive(tmp_path / "bundle" / golden_name(kind))["outputs"] for kind in manifest.golden.tolerance}
    np.testing.assert_allclose(expected["saved_model"], expected["tflite"], atol=1e-5)
    verify_bundle(tmp_path / "bundle")
    write_archive(tmp_path / "bundle" / golden_name("saved_model"), {"outputs": expected["saved_model"] + np.float32(1.0)})
    with pytest.raises(IntegrityError, match=r"saved_model: output .* of golden example .* they differ by 1"):
        check_all_golden(tmp_path / "bundle", manifest)
