"""Pruning, clustering and quantization-aware training of one small convolutional net, one after the other, down to the shipped file."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.compress.cluster.step import cluster
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.candidate import StageName, StageRecord, read_candidate
from edgepress.contracts.dataset import open_dataset
from edgepress.contracts.evaluation import LayerWeights
from edgepress.contracts.stages import ClusterSettings, ConvertSettings, PruneSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.convert.step import convert
from edgepress.evaluate.inspect import inspect_weights
from edgepress.models.kernels import kernels
from edgepress.models.storage import load_model
from edgepress.tflite.flatbuffer import read_graph
from edgepress.tflite.litert import LiteRTModel
from tests.ml.tiny_candidates import convolutional, write_baseline, write_digits

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

CLUSTERS = 8
INT8 = ConvertSettings(quantization="int8", io="int8")


def training(epochs: int, learning_rate: float = 1e-3) -> TrainSettings:
    return TrainSettings(epochs=epochs, batch_size=32, learning_rate=learning_rate)


class Chain:
    """Candidate directories, each made from the one before it by the first test that asks for it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.dataset = place / "dataset"
        write_digits(self.dataset)

    @cached_property
    def baseline(self) -> Path:
        return write_baseline(self._place / "baseline", open_dataset(self.dataset), convolutional, epochs=5)

    @cached_property
    def pruned(self) -> Path:
        settings = PruneSettings(final_sparsity=0.6, frequency=6, train=training(3))
        return self._made("pruned", lambda paths: prune(settings=settings, candidate=self.baseline, **paths))

    @cached_property
    def clustered(self) -> Path:
        settings = ClusterSettings(number_of_clusters=CLUSTERS, train=training(1))
        return self._made("clustered", lambda paths: cluster(settings=settings, candidate=self.pruned, **paths))

    @cached_property
    def quantized(self) -> Path:
        settings = QuantizeSettings(train=training(1))
        return self._made("quantized", lambda paths: quantize(settings=settings, candidate=self.clustered, **paths))

    @cached_property
    def quantized_per_tensor(self) -> Path:
        settings = QuantizeSettings(granularity="per_tensor", train=training(1))
        return self._made("quantized_per_tensor", lambda paths: quantize(settings=settings, candidate=self.clustered, **paths))

    def _made(self, name: str, make: Callable[[dict[str, Any]], None]) -> Path:
        output = self._place / name
        make({"recipe": "all", "dataset": self.dataset, "output": output})
        return output


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"))


def stage(candidate: Path, name: StageName) -> StageRecord:
    record = read_candidate(candidate)
    assert record.failure is None, record.failure
    found = record.stage(name)
    assert found is not None
    return found


def shipped(candidate: Path, dataset: Path, output: Path, settings: ConvertSettings = INT8) -> dict[str, LayerWeights]:
    """Kernels of the converted file by the names of their layers."""
    convert(recipe="all", settings=settings, candidate=candidate, dataset=dataset, output=output)
    stage(output, "convert")
    layers = inspect_weights(read_graph((output / "model.tflite").read_bytes()))
    return dict(zip(("stem", "depthwise", "pointwise", "head"), layers, strict=True))


def accuracy(tflite: Path, dataset: Path) -> float:
    split = open_dataset(dataset).split("validation")
    return float(np.mean(LiteRTModel.open(tflite).predict(split.inputs).argmax(axis=1) == split.labels))


def test_pruning_reaches_its_sparsity_in_every_layer_it_names(chain: Chain) -> None:
    facts = stage(chain.pruned, "prune").facts
    weights = kernels(load_model(chain.pruned))
    assert facts["sparsity"] == pytest.approx(0.6, abs=0.003)
    assert set(facts["sparsity_by_layer"]) == {"stem", "pointwise", "head"}  # type: ignore[arg-type]
    assert facts["skipped_layers"] == ["depthwise"]
    for name in ("stem", "pointwise", "head"):
        assert np.mean(weights[name] == 0) == pytest.approx(0.6, abs=0.5 / weights[name].size + 1e-3)
    assert not (weights["depthwise"] == 0).any()


def test_pruning_keeps_an_epoch_at_the_final_sparsity(chain: Chain) -> None:
    record = stage(chain.pruned, "prune")
    assert record.facts["end_step"] == 36  # 3 epochs of 20 steps; two thirds are 40; updates every 6 steps
    assert record.facts["best_epoch"] in (2, 3)
    assert record.facts["val_accuracy"] == pytest.approx(record.curves["val_accuracy"][int(record.facts["best_epoch"]) - 1])


def test_what_is_written_between_stages_is_a_plain_model(chain: Chain) -> None:
    plain = [type(layer).__name__ for layer in load_model(chain.baseline).layers]
    for candidate in (chain.pruned, chain.clustered):
        assert [type(layer).__name__ for layer in load_model(candidate).layers] == plain


def test_clustering_leaves_few_values_and_every_zero(chain: Chain) -> None:
    before, after = kernels(load_model(chain.pruned)), kernels(load_model(chain.clustered))
    facts = stage(chain.clustered, "cluster").facts
    for name in ("stem", "pointwise", "head"):
        assert len(np.unique(after[name])) <= CLUSTERS
        assert facts["distinct_values_by_layer"][name] == len(np.unique(after[name]))  # type: ignore[call-overload, index]
        assert (after[name][before[name] == 0] == 0).all()
    assert facts["skipped_layers"] == ["depthwise"]
    assert facts["sparsity"] == facts["sparsity_before"]


def test_batch_normalization_goes_on_learning_while_clusters_do(chain: Chain) -> None:
    def moving_mean(candidate: Path) -> np.ndarray:
        mean: np.ndarray = load_model(candidate).get_layer("stem_bn").moving_mean.numpy()
        return mean

    assert not np.array_equal(moving_mean(chain.pruned), moving_mean(chain.clustered))


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_sparsity_and_clusters_reach_the_shipped_file(chain: Chain, granularity: str, tmp_path: Path) -> None:
    candidate = chain.quantized if granularity == "per_channel" else chain.quantized_per_tensor
    assert stage(candidate, "quantize").facts["scheme"] == "PCQAT"
    layers = shipped(candidate, chain.dataset, tmp_path / "out")
    for name in ("stem", "pointwise", "head"):
        assert layers[name].dtype == "int8"
        assert layers[name].sparsity >= 0.595
    assert layers["head"].distinct_values <= CLUSTERS
    if granularity == "per_tensor":
        assert layers["stem"].distinct_values <= CLUSTERS
        assert layers["pointwise"].distinct_values <= CLUSTERS
    model = LiteRTModel.open(tmp_path / "out" / "model.tflite")
    assert [spec.dtype for spec in (*model.inputs, model.output)] == [np.int8, np.int8]
    said = stage(candidate, "quantize").facts["val_accuracy"]
    assert accuracy(tmp_path / "out" / "model.tflite", chain.dataset) == pytest.approx(said, abs=0.02)


def test_the_settings_of_every_stage_stay_in_the_trace(chain: Chain) -> None:
    assert [record.stage for record in read_candidate(chain.quantized).trace] == ["prune", "cluster", "quantize"]
    assert stage(chain.quantized, "cluster").settings["number_of_clusters"] == CLUSTERS


@pytest.mark.parametrize(
    ("apply", "reason"),
    [
        (
            lambda **paths: prune(settings=PruneSettings(end_step=500, train=training(1)), **paths),
            "prune.end_step 500 is after the training: 1 epochs of 20 steps make 20; end earlier or train longer",
        ),
        (
            lambda **paths: cluster(settings=ClusterSettings(number_of_clusters=2, train=training(1)), **paths),
            "cluster.number_of_clusters 2 is too few after prune, whose zeros take one cluster; give at least 3",
        ),
    ],
)
def test_what_does_not_apply_becomes_a_failed_candidate(chain: Chain, apply: Callable[..., None], reason: str, tmp_path: Path) -> None:
    apply(recipe="wrong", candidate=chain.pruned, dataset=chain.dataset, output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert failure.reason == reason
