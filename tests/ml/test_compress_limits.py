"""What the stages refuse, what they leave alone, and the ranges that quantization-aware training starts from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorflow_model_optimization.quantization.keras import quantize_model

from edgepress.compress.cluster.step import cluster
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.quantization import quantize_candidate
from edgepress.compress.quantize.ranges import calibrate_ranges
from edgepress.compress.quantize.scheme import Preservation, PreservingRegistry
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.candidate import read_candidate
from edgepress.contracts.stages import ClusterSettings, PruneSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.models.keras import keras, set_seed, tf
from edgepress.models.kernels import distinct_values_by_layer, kernels, sparsity
from edgepress.models.storage import load_model
from tests.ml.tiny_candidates import dense, write_baseline, write_digits

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

layers = keras.layers


def classifier(*between: keras.layers.Layer, head: bool = True) -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for layer in between:
        x = layer(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(image, layers.Dense(10, name="head")(x) if head else x, name="odd")


def nested() -> keras.Model:
    image = keras.Input((8, 8, 1))
    return classifier(keras.Model(image, layers.Conv2D(2, 3)(image), name="inner"))


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (nested, "layer inner is a model inside the model"),
        (lambda: classifier(layers.LayerNormalization(name="norm")), "layer norm (LayerNormalization) is not supported"),
        (lambda: classifier(layers.Conv2D(2, 3, activation="elu", name="odd")), "activation elu of layer odd is not supported"),
    ],
)
def test_quantize_names_what_it_does_not_support_and_the_way_round(build: Callable[[], keras.Model], named: str, tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), build, epochs=0)
    quantize(recipe="q", settings=QuantizeSettings(), candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert failure.reason == (
        f"quantization-aware training does not apply: {named}; drop quantize from the recipe and let convert quantize after training"
    )


def test_a_model_with_nothing_to_prune_is_refused(tmp_path: Path) -> None:
    baseline = write_baseline(
        tmp_path / "baseline",
        write_digits(tmp_path / "dataset"),
        lambda: classifier(layers.DepthwiseConv2D(8, depth_multiplier=10, name="only"), head=False),
        epochs=0,
    )
    settings = PruneSettings(train=TrainSettings(epochs=4))
    prune(recipe="p", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert "its layers are InputLayer, DepthwiseConv2D, Flatten; drop prune from the recipe" in failure.reason


def test_a_constant_schedule_prunes_at_once(tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense, epochs=0)
    settings = PruneSettings(
        schedule="constant", final_sparsity=0.75, begin_step=2, frequency=50, train=TrainSettings(epochs=2, early_stopping_patience=1)
    )
    prune(recipe="p", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    record = read_candidate(tmp_path / "out")
    assert record.failure is None
    assert record.trace[0].facts["sparsity"] == pytest.approx(0.75, abs=0.002)


def test_a_skipped_layer_stays_dense(tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense, epochs=0)
    settings = PruneSettings(schedule="constant", begin_step=2, frequency=50, skip_layers=("hidden",), train=TrainSettings(epochs=2))
    prune(recipe="p", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    model = load_model(tmp_path / "out")
    shares = {name: sparsity({name: kernel}) for name, kernel in kernels(model).items()}
    assert shares.pop("hidden") < 0.01
    assert shares
    assert all(share == pytest.approx(0.5, abs=0.01) for share in shares.values())


def test_a_layer_to_skip_that_is_not_there_is_named(tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense, epochs=0)
    settings = PruneSettings(skip_layers=("hiden",), train=TrainSettings(epochs=4))
    prune(recipe="p", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert "has no layer hiden; its layers are hidden" in failure.reason


def test_a_sparse_kernel_with_fewer_values_than_clusters_is_left_alone(tmp_path: Path) -> None:
    dataset = write_digits(tmp_path / "dataset")
    small = write_baseline(tmp_path / "baseline", dataset, lambda: classifier(layers.Conv2D(16, 3, name="stem")), epochs=0)
    one_epoch = TrainSettings(epochs=1)
    given = {"recipe": "sparse", "dataset": tmp_path / "dataset"}
    sparse = PruneSettings(schedule="constant", final_sparsity=0.8, frequency=1, train=one_epoch)
    prune(**given, settings=sparse, candidate=small, output=tmp_path / "pruned")  # type: ignore[arg-type]
    shared = ClusterSettings(number_of_clusters=32, train=one_epoch)
    cluster(**given, settings=shared, candidate=tmp_path / "pruned", output=tmp_path / "clustered")  # type: ignore[arg-type]
    record = read_candidate(tmp_path / "clustered")
    assert record.failure is None
    done = record.stage("cluster")
    assert done is not None
    assert any("stem" in str(name) for name in done.facts["skipped_layers"])  # type: ignore[union-attr]


def test_a_layer_without_zeros_does_not_end_preservation_for_the_next() -> None:
    first, second = layers.Dense(4, name="first"), layers.Dense(4, name="second")
    for layer in (first, second):
        layer.build((None, 8))
    second.set_weights([np.where(np.arange(32).reshape(8, 4) % 2, 1.0, 0.0), np.zeros(4)])
    registry = PreservingRegistry(Preservation(pruned=frozenset({"second"}), clustered=frozenset({"first", "second"})), per_tensor=False)
    configs = [registry.get_quantize_config(layer) for layer in (first, second)]
    assert [config.weight_quantizer.preserve_sparsity for config in configs] == [False, True]
    assert configs[0].weight_quantizer is not configs[1].weight_quantizer


def test_ranges_start_where_the_activations_are() -> None:
    set_seed(0)
    images = np.random.default_rng(0).random((320, 8, 8, 1), np.float32)
    source = dense()
    hidden = keras.Model(source.input, source.get_layer("hidden").output)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(32)
    expected = np.mean([np.max(hidden(batch)) for batch in batches])
    model = quantize_model(source)
    learnt = [variable.numpy() for variable in model.trainable_weights]
    calibrate_ranges(model, batches)
    found = {variable.name: float(variable) for variable in model.non_trainable_weights if variable.shape == ()}
    assert found["quant_hidden/post_activation_max:0"] == pytest.approx(expected, rel=0.05)
    assert found["quant_hidden/post_activation_min:0"] == pytest.approx(0.0, abs=1e-3)
    (image_max,) = (value for name, value in found.items() if name.startswith("quantize_layer") and name.endswith("_max:0"))
    assert image_max == pytest.approx(1.0, abs=0.01)
    for before, after in zip(learnt, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after.numpy())


def test_kernels_are_read_from_plain_and_from_quantized_models() -> None:
    model = dense()
    model.get_layer("hidden").kernel.assign(tf.zeros((64, 32)))
    for read in (kernels(model), kernels(quantize_model(model))):
        assert set(read) == {"hidden", "head"}
        assert sparsity(read) == pytest.approx(64 * 32 / (64 * 32 + 320))
        assert distinct_values_by_layer(read)["hidden"] == 1


def attentive() -> keras.Model:
    image = keras.Input((8, 8, 1), name="image")
    rows = layers.Reshape((8, 8), name="rows")(image)
    x = layers.Flatten(name="flat")(layers.MultiHeadAttention(1, 4, name="attention")(rows, rows))
    return keras.Model(image, layers.Dense(10, name="head")(x), name="attentive")


def test_each_kernel_of_an_attention_layer_is_pruned_and_clustered(tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), attentive, epochs=0)
    given = {"recipe": "both", "dataset": tmp_path / "dataset"}
    sparse = PruneSettings(schedule="constant", frequency=1, train=TrainSettings(epochs=1))
    prune(**given, settings=sparse, candidate=baseline, output=tmp_path / "pruned")  # type: ignore[arg-type]
    shared = ClusterSettings(number_of_clusters=4, train=TrainSettings(epochs=1))
    cluster(**given, settings=shared, candidate=tmp_path / "pruned", output=tmp_path / "out")  # type: ignore[arg-type]
    record = read_candidate(tmp_path / "out")
    assert record.failure is None
    done = record.stage("cluster")
    assert done is not None
    parts = {f"attention/{part}/kernel" for part in ("query", "key", "value", "attention_output")}
    written = kernels(load_model(tmp_path / "out"))
    assert written.keys() == parts | {"head"}
    assert done.facts["distinct_values_by_layer"] == distinct_values_by_layer(written)
    assert set(distinct_values_by_layer(written).values()) == {4}
    assert sparsity(written) == pytest.approx(0.5, abs=0.01)


def test_kernels_that_are_named_alike_are_all_counted() -> None:
    sequence = keras.Input((4, 8))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="same")], name="inner")
    x = inner(inner(layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")(sequence)))
    read = kernels(keras.Model(sequence, layers.Dense(5, name="same")(x)))
    assert {name: kernel.shape for name, kernel in read.items()} == {
        "both/forward_lstm/lstm_cell/kernel": (8, 12),
        "both/forward_lstm/lstm_cell/recurrent_kernel": (3, 12),
        "both/backward_lstm/lstm_cell/kernel": (8, 12),
        "both/backward_lstm/lstm_cell/recurrent_kernel": (3, 12),
        "same": (6, 6),
        "same/2": (6, 5),
    }


def test_an_error_in_the_program_fails_its_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense, epochs=0)

    def broken(*_: object, **__: object) -> None:
        raise AttributeError("a bug")

    monkeypatch.setitem(quantize_candidate.__globals__, "fit", broken)
    quantize(recipe="q", settings=QuantizeSettings(), candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert failure.reason == "quantize failed unexpectedly (AttributeError: a bug); the task's log has the traceback"
