"""Conversion: every kind of file, its types and names, the SavedModel beside it, and files that are refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from tensorflow_model_optimization.quantization.keras import quantize_model

from edgepress.compress.prune.step import prune
from edgepress.contracts.candidate import CandidateRecord, read_candidate
from edgepress.contracts.dataset import DatasetDirectory, open_dataset
from edgepress.contracts.stages import ConvertSettings, PruneSettings, RepresentativeDataset
from edgepress.contracts.training import TrainSettings
from edgepress.convert.inspection import check_tflite
from edgepress.convert.representative import representative_inputs
from edgepress.convert.step import convert
from edgepress.convert.tflite import to_tflite
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import StageError
from edgepress.models.keras import keras, tf
from edgepress.models.storage import load_model
from edgepress.models.user_module import UserModule
from edgepress.tflite.flatbuffer import read_graph
from edgepress.tflite.litert import LiteRTModel
from tests.ml.tiny_candidates import convolutional, dense, write_baseline, write_dataset, write_digits

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, dataset: DatasetDirectory) -> Path:
    return write_baseline(tmp_path_factory.mktemp("models") / "baseline", dataset, convolutional, epochs=3)


def converted(candidate: Path, dataset: DatasetDirectory, output: Path, **settings: object) -> CandidateRecord:
    convert(recipe="r", settings=ConvertSettings.model_validate(settings), candidate=candidate, dataset=dataset.path, output=output)
    return read_candidate(output)


def keras_outputs(candidate: Path, inputs: np.ndarray) -> np.ndarray:
    outputs: np.ndarray = load_model(candidate)(inputs, training=False).numpy()
    return outputs


@pytest.mark.parametrize(
    ("quantization", "io", "weights", "tolerance"),
    [
        ("float32", "float32", {"float32"}, 1e-4),
        ("float16", "float32", {"float16"}, 0.02),
        ("dynamic_range", "float32", {"int8", "float32"}, 0.3),
        ("int8", "float32", {"int8", "int32"}, 0.6),
        ("int8", "int8", {"int8", "int32"}, 0.6),
    ],
)
def test_every_kind_of_file_is_what_it_says(
    quantization: str, io: str, weights: set[str], tolerance: float, baseline: Path, dataset: DatasetDirectory, tmp_path: Path
) -> None:
    record = converted(baseline, dataset, tmp_path / "out", quantization=quantization, io=io)
    assert record.failure is None, record.failure
    tflite = tmp_path / "out" / "model.tflite"
    assert record.artifacts == {"tflite": digest_file(tflite), "saved_model": digest_tree(tmp_path / "out" / "saved_model")}
    model = LiteRTModel.open(tflite)
    assert [(spec.name, spec.dtype) for spec in (*model.inputs, model.output)] == [("image", np.dtype(io)), ("logits", np.dtype(io))]
    images = np.asarray(dataset.split("validation").inputs["image"][:50])
    assert np.max(np.abs(model.predict({"image": images}) - keras_outputs(baseline, images))) < tolerance
    learned = {tensor.dtype for tensor in read_graph(tflite.read_bytes()).constants() if tensor.is_learned}
    assert learned <= weights
    assert load_model(tmp_path / "out").count_params() == load_model(baseline).count_params(), "the Keras model comes along"


def test_the_saved_model_serves_any_batch_by_name(baseline: Path, dataset: DatasetDirectory, tmp_path: Path) -> None:
    record = converted(baseline, dataset, tmp_path / "out")
    assert float(str(record.trace[-1].facts["saved_model_difference"])) < 1e-4
    signatures = tf.saved_model.load(str(tmp_path / "out" / "saved_model")).signatures
    assert list(signatures) == ["serving_default"]
    for batch in (1, 7):
        images = np.asarray(dataset.split("test").inputs["image"][:batch])
        outputs = signatures["serving_default"](image=tf.constant(images))
        np.testing.assert_allclose(outputs["logits"], keras_outputs(baseline, images), atol=1e-4)


def test_a_softmax_is_named_probabilities(dataset: DatasetDirectory, tmp_path: Path) -> None:
    candidate = write_baseline(tmp_path / "baseline", dataset, lambda: convolutional(probabilities=True), epochs=0)
    assert converted(candidate, dataset, tmp_path / "out").failure is None
    assert LiteRTModel.open(tmp_path / "out" / "model.tflite").output.name == "probabilities"


def test_the_same_model_gives_the_same_bytes(baseline: Path, dataset: DatasetDirectory) -> None:
    settings = ConvertSettings(quantization="int8", representative_dataset=RepresentativeDataset(samples=20))

    def convert_once() -> bytes:
        examples = representative_inputs(dataset, settings.representative_dataset)
        return to_tflite(load_model(baseline), settings, inputs=dataset.manifest.inputs, meaning="logits", representative=examples)

    assert convert_once() == convert_once()


def test_per_tensor_gives_a_convolution_one_scale(baseline: Path, dataset: DatasetDirectory) -> None:
    scales = {}
    for granularity in ("per_channel", "per_tensor"):
        settings = ConvertSettings.model_validate({"quantization": "int8", "granularity": granularity})
        examples = representative_inputs(dataset, RepresentativeDataset(samples=20))
        content = to_tflite(load_model(baseline), settings, inputs=dataset.manifest.inputs, meaning="logits", representative=examples)
        stem = next(operator for operator in read_graph(content).operators if operator.name == "CONV_2D")
        kernel = stem.inputs[1]
        assert kernel is not None
        scales[granularity] = len(set(kernel.scales))
    assert scales["per_tensor"] == 1
    assert scales["per_channel"] > 1


MODULE = """
import tf_keras as keras
import tensorflow as tf

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight("factor", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor

def build_model(input_shape, num_classes):
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Dense(16, activation="relu", name="hidden")(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Dense(num_classes, name="head")(Scale(name="scale")(x)))

def preprocess(x):
    return (x - 0.5) * 4.0

def custom_objects():
    return {"Scale": Scale}
"""


def test_a_users_preprocessing_and_layers_are_shipped(dataset: DatasetDirectory, tmp_path: Path) -> None:
    namespace: dict[str, object] = {}
    exec(MODULE, namespace)
    candidate = write_baseline(tmp_path / "baseline", dataset, lambda: namespace["build_model"]((8, 8, 1), 10), MODULE, epochs=0)  # type: ignore[operator]
    pruning = PruneSettings(frequency=5, train=TrainSettings(epochs=1))
    prune(recipe="r", settings=pruning, candidate=candidate, dataset=dataset.path, output=tmp_path / "pruned")
    assert read_candidate(tmp_path / "pruned").failure is None
    images = np.asarray(dataset.split("validation").inputs["image"][:20])
    expected = load_model(tmp_path / "pruned")((images - 0.5) * 4.0, training=False).numpy()
    for name, settings, tolerance in (("float", {}, 1e-3), ("integer", {"quantization": "int8", "io": "int8"}, 0.6)):
        record = converted(tmp_path / "pruned", dataset, tmp_path / name, **settings)
        assert record.failure is None, record.failure
        assert (tmp_path / name / "module.py").read_text() == MODULE
        outputs = LiteRTModel.open(tmp_path / name / "model.tflite").predict({"image": images})
        assert np.max(np.abs(outputs - expected)) < tolerance


def test_several_inputs_keep_their_names(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = {"right": generator.random((1040, 3), np.float32), "left": generator.random((1040, 4), np.float32)}
    dataset = write_dataset(tmp_path / "dataset", inputs, (inputs["left"][:, 0] > inputs["right"][:, 0]).astype(np.int64))

    def build() -> keras.Model:
        tensors = [keras.Input(array.shape[1:], name=name) for name, array in inputs.items()]
        return keras.Model(tensors, keras.layers.Dense(2, name="head")(keras.layers.Concatenate()(tensors)))

    candidate = write_baseline(tmp_path / "baseline", dataset, build, epochs=0)
    record = converted(candidate, dataset, tmp_path / "out", quantization="int8", io="int8")
    assert record.failure is None, record.failure
    model = LiteRTModel.open(tmp_path / "out" / "model.tflite")
    assert {spec.name: spec.shape for spec in model.inputs} == {"left": (4,), "right": (3,)}
    split = {name: np.asarray(array[:20]) for name, array in dataset.split("test").inputs.items()}
    expected = load_model(candidate)(split, training=False).numpy()
    assert np.max(np.abs(model.predict(split) - expected)) < 0.1


def test_float_operators_in_an_integer_model_are_named(baseline: Path, dataset: DatasetDirectory) -> None:
    content = to_tflite(load_model(baseline), ConvertSettings(), inputs=dataset.manifest.inputs, meaning="logits")
    example = next(representative_inputs(dataset, RepresentativeDataset(samples=1)))
    with pytest.raises(StageError, match=r"int8 was asked for, but these operators stayed in float32: CONV_2D \(.*; use float16"):
        check_tflite(content, ConvertSettings(quantization="int8"), example=example, output_shapes=((10,),))
    with pytest.raises(StageError, match="io int8 was asked for, which makes tensor image int8, but it is float32"):
        check_tflite(content, ConvertSettings(quantization="int8", io="int8"), example=example, output_shapes=((10,),))
    with pytest.raises(StageError, match=r"gives shape \[10\], not \[3\] or \[1\]"):
        check_tflite(content, ConvertSettings(), example=example, output_shapes=((3,), (1,)))
    with pytest.raises(StageError, match="inputs are image, but the dataset's are picture"):
        check_tflite(content, ConvertSettings(), example={"picture": example["image"]}, output_shapes=((10,),))
    with pytest.raises(StageError, match="float16 was asked for, but no weight became float16"):
        check_tflite(content, ConvertSettings(quantization="float16"), example=example, output_shapes=((10,),))
    with pytest.raises(StageError, match="LiteRT cannot open it"):
        check_tflite(content[:500], ConvertSettings(), example=example, output_shapes=((10,),))


def test_a_model_that_gives_nan_fails_its_candidate(dataset: DatasetDirectory, tmp_path: Path) -> None:
    def build() -> keras.Model:
        model = dense()
        model.get_layer("head").bias.assign(np.full(10, np.nan))
        return model

    candidate = write_baseline(tmp_path / "baseline", dataset, build, epochs=0)
    record = converted(candidate, dataset, tmp_path / "out")
    assert record.failure is not None
    assert record.failure.stage == "convert"
    assert record.failure.reason == "the converted model gives NaN or infinity for a training example"
    assert not (tmp_path / "out" / "model.tflite").exists()


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("tf.sin", r"int8 was asked for, but these operators stayed in float32: SIN \(Sin\w*\); use float16 or dynamic_range"),
        (
            "tf.math.digamma",
            "conversion to int8 failed: 'tf.Digamma' op is neither a custom op nor a flex op; change the model or the quantization",
        ),
    ],
)
def test_what_int8_cannot_express_fails_its_candidate(operation: str, reason: str, dataset: DatasetDirectory, tmp_path: Path) -> None:
    module = f"import tensorflow as tf\n\ndef build_model(): ...\n\ndef preprocess(x):\n    return {operation}(x + 1.0)\n"
    candidate = write_baseline(tmp_path / "baseline", dataset, dense, module, epochs=0)
    record = converted(candidate, dataset, tmp_path / "out", quantization="int8")
    assert record.failure is not None
    assert re.fullmatch(reason, record.failure.reason), record.failure.reason


def test_preprocessing_before_a_quantization_aware_model_stays_in_float(dataset: DatasetDirectory) -> None:
    user_module = UserModule(shown_as="module.py", build_model=dense, preprocess=lambda x: (x - 0.5) * 4.0)
    model = quantize_model(dense())
    example = next(representative_inputs(dataset, RepresentativeDataset(samples=1)))

    def check(io: str, float_preprocessing: bool) -> dict[str, int]:
        settings = ConvertSettings.model_validate({"quantization": "int8", "io": io})
        content = to_tflite(model, settings, inputs=dataset.manifest.inputs, meaning="logits", user_module=user_module)
        return check_tflite(content, settings, example=example, output_shapes=((10,),), float_preprocessing=float_preprocessing)

    operators = check("float32", float_preprocessing=True)
    assert operators["QUANTIZE"] == 1
    assert operators["FULLY_CONNECTED"] == 2
    with pytest.raises(StageError, match="these operators stayed in float32"):
        check("float32", float_preprocessing=False)
    with pytest.raises(StageError, match="drop quantize so that the preprocessing is quantized too"):
        check("int8", float_preprocessing=True)


def test_the_dataset_on_disk_is_what_calibrates(dataset: DatasetDirectory) -> None:
    drawn = [example["image"] for example in representative_inputs(dataset, RepresentativeDataset(samples=30, seed=1))]
    train = np.asarray(open_dataset(dataset.path).split("train").inputs["image"])
    assert len(drawn) == 30
    assert all((train == image).all(axis=(1, 2, 3)).any() for image in drawn)
