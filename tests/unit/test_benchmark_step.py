"""The benchmark step on real files: what it measures, leaves out and refuses."""

from pathlib import Path

import numpy as np
import pytest

from edgepress.benchmark.step import benchmark
from edgepress.contracts.candidate import TFLITE_NAME, Failure, read_candidate, write_candidate
from edgepress.contracts.config import BenchmarkSettings
from edgepress.contracts.latency import read_benchmark
from edgepress.device.digest import digest_bytes, digest_file
from edgepress.errors import InputError, IntegrityError, ModelError
from edgepress.tflite.litert import runtime_version
from tests.unit.candidate_files import write_dataset, write_model

SETTINGS = BenchmarkSettings(rounds=20, invocations_per_round=50)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    image = np.random.default_rng(11).uniform(size=(10, 8, 8, 1)).astype(np.float32)
    return write_dataset(tmp_path / "dataset", {"image": image}, np.arange(10) % 3, 3, {})


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return write_model(tmp_path / "baseline", "baseline", "conv_float32")


def test_models_are_measured_side_by_side(baseline: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = [write_model(tmp_path / "same", "same", "conv_float32"), write_model(tmp_path / "int8", "int8", "conv_int8")]
    benchmark(settings=SETTINGS, baseline=baseline, candidates=candidates, dataset=dataset, output=tmp_path / "out")
    result = read_benchmark(tmp_path / "out")
    assert [model.recipe for model in result.models] == ["baseline", "same", "int8"]
    for model, path in zip(result.models, (baseline, *candidates), strict=True):
        assert (model.artifact, model.model_digest) == ("tflite", digest_file(path / TFLITE_NAME))
        assert model.invocations == 1000
        assert model.latency_p99_ms is not None
        assert 0.0 < model.latency_p50_ms <= model.latency_p95_ms <= model.latency_p99_ms
        assert model.latency_p50_ms < 5
        assert 0 < model.peak_memory_bytes < 1_000_000  # files of 6 to 9 KB
        assert model.metrics["peak_memory_bytes"] == model.peak_memory_bytes
    first, same, _ = result.models
    assert (first.ratio_to_baseline, first.ratio_interval) == (1.0, (1.0, 1.0))
    assert same.ratio_to_baseline == pytest.approx(1.0, abs=0.25)  # the same file; the machine may be busy
    assert result.hardware.runtime == runtime_version()
    assert result.rounds == 20
    assert "benchmark: 3 models, 1000 invocations each, on " in capsys.readouterr().out


def test_failed_and_broken_candidates_are_absent(baseline: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = write_model(tmp_path / "failed", "failed", "conv_int8", failure=Failure(stage="prune", reason="diverged"))
    broken = write_model(tmp_path / "broken", "broken", "conv_batch_4")
    settings = BenchmarkSettings(rounds=10, invocations_per_round=20, pin_to_core=False, hardware_class="lab-board")
    benchmark(settings=settings, baseline=baseline, candidates=[failed, broken], dataset=dataset, output=tmp_path / "out")
    result = read_benchmark(tmp_path / "out")
    assert [model.recipe for model in result.models] == ["baseline"]
    assert result.models[0].latency_p99_ms is None  # 200 invocations
    assert (result.hardware.hardware_class, result.hardware.pinned_core) == ("lab-board", None)
    output = capsys.readouterr().out
    assert "failed: left out, it failed at prune: diverged" in output
    assert "broken: left out, model.tflite: tensor image has shape [4, 8, 8, 1]; convert with a batch of 1" in output


def test_a_broken_baseline_is_an_error(dataset: Path, tmp_path: Path) -> None:
    baseline = write_model(tmp_path / "broken", "baseline", "conv_batch_4")
    with pytest.raises(ModelError, match="convert with a batch of 1"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[], dataset=dataset, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_the_recorded_one_is_refused(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    candidate = write_model(tmp_path / "int8", "int8", "conv_int8")
    with (candidate / TFLITE_NAME).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match=r"int8/model\.tflite: has digest"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[candidate], dataset=dataset, output=tmp_path / "out")
    (candidate / TFLITE_NAME).unlink()
    with pytest.raises(IntegrityError, match=r"int8/model\.tflite: cannot be read"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[candidate], dataset=dataset, output=tmp_path / "out")
    write_candidate(candidate, read_candidate(candidate).model_copy(update={"dataset_digest": digest_bytes(b"another")}))
    with pytest.raises(IntegrityError, match="was made from dataset"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[candidate], dataset=dataset, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_each_model_needs_a_name_of_its_own(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    one, two = (write_model(tmp_path / folder, "int8", "conv_int8") for folder in ("one", "two"))
    with pytest.raises(InputError, match="one: recipe int8 is there more than once"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[one, two], dataset=dataset, output=tmp_path / "out")
    with pytest.raises(InputError, match="baseline: recipe baseline is there more than once"):
        benchmark(settings=SETTINGS, baseline=baseline, candidates=[baseline], dataset=dataset, output=tmp_path / "out")
    with pytest.raises(InputError, match="baseline: is a candidate of recipe int8"):
        benchmark(settings=SETTINGS, baseline=one, candidates=[], dataset=dataset, output=tmp_path / "out")


def test_every_model_is_measured_by_the_same_kind_of_artifact(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="baseline/saved_model: cannot be read"):
        benchmark(settings=SETTINGS, artifact="saved_model", baseline=baseline, candidates=[], dataset=dataset, output=tmp_path / "out")
    with pytest.raises(InputError, match="artifact: onnx is none of tflite, saved_model"):
        benchmark(settings=SETTINGS, artifact="onnx", baseline=baseline, candidates=[], dataset=dataset, output=tmp_path / "out")
