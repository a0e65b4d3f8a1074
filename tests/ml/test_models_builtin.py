"""Built-in architectures: MLPerf Tiny's sizes, any input shape, and fit for every later stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot

from edgepress.contracts.builtin_models import BUILTIN_MODELS, BuiltinModel, ModelChoice
from edgepress.contracts.dataset import InputSpec
from edgepress.errors import ModelError
from edgepress.models import mobilenet_v1_025
from edgepress.models.keras import keras, set_seed
from edgepress.models.outputs import output_meaning
from edgepress.models.registry import BUILDERS, build_model
from edgepress.models.storage import load_model, save_model
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import TaskName
from tests.ml.tiny_candidates import describe

SMALL: dict[BuiltinModel, dict[str, Any]] = {
    "mlp": {"hidden": [8]},
    "resnet8": {"width": 2},
    "ds_cnn": {"filters": 4, "blocks": 1},
    "mobilenet_v1_025": {"alpha": 0.1, "stem_stride": 1},
    "autoencoder": {"hidden": [8], "bottleneck": 2},
}


def build(model: BuiltinModel, shape: tuple[int, ...], outputs: int = 10, task: TaskName | None = None, **params: Any) -> Any:
    spec = InputSpec(name="x", shape=shape, dtype="float32")
    described = describe((spec,), outputs, task or BUILTIN_MODELS[model].tasks[0])
    return build_model(ModelChoice(model=model, params=params), (spec,), described)


def meaning(net: Any, model: BuiltinModel) -> str:
    return output_meaning(net, TASKS[BUILTIN_MODELS[model].tasks[0]])


def test_every_declared_model_can_be_built() -> None:
    assert BUILDERS.keys() == BUILTIN_MODELS.keys() == SMALL.keys()


@pytest.mark.parametrize(
    ("model", "shape", "classes", "parameters"),
    [
        ("resnet8", (28, 28, 1), 10, 78_378),
        ("resnet8", (32, 32, 3), 10, 78_666),  # MLPerf Tiny, image classification
        ("ds_cnn", (49, 10, 1), 12, 24_908),  # MLPerf Tiny, keyword spotting
        ("mobilenet_v1_025", (96, 96, 3), 2, 221_794),  # MLPerf Tiny, visual wake words
    ],
)
def test_sizes_are_those_of_mlperf_tiny(model: BuiltinModel, shape: tuple[int, ...], classes: int, parameters: int) -> None:
    assert build(model, shape, classes).count_params() == parameters


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 1), (17, 9, 3)])
def test_any_image_gives_finite_outputs(model: BuiltinModel, shape: tuple[int, ...]) -> None:
    net = build(model, shape, 7, **SMALL[model])
    outputs = net(np.random.default_rng(0).random((2, *shape), np.float32)).numpy()
    assert outputs.shape == ((2, *shape) if model == "autoencoder" else (2, 7))
    assert np.isfinite(outputs).all()
    assert meaning(net, model) == ("reconstruction" if model == "autoencoder" else "logits")
    assert net.input_names == ["x"]


def test_the_autoencoder_is_mlperf_tinys() -> None:
    assert build("autoencoder", (640,), batch_norm=True).count_params() == 269_992
    net = build("autoencoder", (640,), hidden=[32, 16], bottleneck=4)
    assert [layer.units for layer in net.layers if isinstance(layer, keras.layers.Dense)] == [32, 16, 4, 16, 32, 640]
    assert net.output_names == ["reconstruction"]


def test_mlp_gives_a_value_for_each_target() -> None:
    net = build("mlp", (5,), 3, "regression")
    assert (net.output_shape, net.output_names) == ((None, 3), ["values"])


@pytest.mark.parametrize(
    ("model", "task", "expected"),
    [
        ("resnet8", "regression", "resnet8: serves classification, but the dataset is for regression; use mlp or a module"),
        (
            "mlp",
            "anomaly_detection",
            "mlp: serves classification and regression, but the dataset is for anomaly_detection; use autoencoder or a module",
        ),
        (
            "autoencoder",
            "classification",
            (
                "autoencoder: serves anomaly_detection, but the dataset is for classification; "
                "use mlp, resnet8, ds_cnn, mobilenet_v1_025 or a module"
            ),
        ),
    ],
)
def test_a_model_of_the_wrong_kind_is_refused(model: BuiltinModel, task: TaskName, expected: str) -> None:
    with pytest.raises(ModelError) as raised:
        build(model, (8, 8, 1), 2, task)
    assert str(raised.value) == expected


def test_stem_stride_quarters_what_follows_the_stem() -> None:
    one, two = (build("resnet8", (28, 28, 1), stem_stride=stride) for stride in (1, 2))
    assert one.count_params() == two.count_params()
    assert one.get_layer("stack1_add").output.shape[1:3] == (28, 28)
    assert two.get_layer("stack1_add").output.shape[1:3] == (14, 14)


def test_the_seed_decides_the_initial_weights() -> None:
    nets = []
    for seed in (3, 3, 4):
        set_seed(seed)
        nets.append(build("mlp", (5,)).get_weights()[0])
    np.testing.assert_array_equal(nets[0], nets[1])
    assert not np.array_equal(nets[0], nets[2])


def test_mlp_takes_several_inputs_by_name() -> None:
    inputs = (InputSpec(name="image", shape=(4, 4, 1), dtype="float32"), InputSpec(name="meta", shape=(3,), dtype="float32"))
    net = build_model(ModelChoice(model="mlp"), inputs, describe(inputs, 5))
    assert net({"image": np.zeros((2, 4, 4, 1), np.float32), "meta": np.zeros((2, 3), np.float32)}).shape == (2, 5)


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        ("resnet8", (("x", (64,), "float32"),), r"resnet8: needs one input of shape \[height, width, channels\].* x \[64\]"),
        ("ds_cnn", (("a", (8, 8, 1), "float32"), ("b", (3,), "float32")), r"a \[8, 8, 1\], b \[3\]"),
        ("mlp", (("x", (4,), "int64"),), "mlp: takes float32 inputs, but x is int64"),
    ],
)
def test_inputs_that_do_not_suit_are_told(model: BuiltinModel, inputs: Any, expected: str) -> None:
    specs = tuple(InputSpec(name=name, shape=shape, dtype=dtype) for name, shape, dtype in inputs)
    with pytest.raises(ModelError, match=expected):
        build_model(ModelChoice(model=model), specs, describe(specs, 3))


@pytest.mark.parametrize("model", SMALL)
def test_every_stage_applies(model: BuiltinModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruning, clustering, quantization-aware training, storing and loading."""
    monkeypatch.setattr(mobilenet_v1_025, "BLOCKS", mobilenet_v1_025.BLOCKS[:2])  # the other eleven are alike
    net = build(model, (8, 8, 1), **SMALL[model])
    x = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    expected = net(x).numpy()

    pruned = tfmot.sparsity.keras.prune_low_magnitude(net)
    np.testing.assert_allclose(tfmot.sparsity.keras.strip_pruning(pruned)(x).numpy(), expected, atol=1e-6)
    assert meaning(pruned, model) == meaning(net, model)

    quantized = tfmot.quantization.keras.quantize_model(net)
    assert meaning(quantized, model) == meaning(net, model)
    save_model(quantized, tmp_path)
    loaded = load_model(tmp_path)
    np.testing.assert_array_equal(loaded(x).numpy(), quantized(x).numpy())

    # Last: tfmot changes the model that it is given.
    clustered = tfmot.clustering.keras.cluster_weights(
        net, number_of_clusters=2, cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.LINEAR
    )
    assert meaning(clustered, model) == meaning(net, model)
    assert isinstance(tfmot.clustering.keras.strip_clustering(clustered), keras.Model)
