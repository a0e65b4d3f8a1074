"""Whole numbers as inputs, and several inputs at once: trained on, pruned, calibrated with and shipped in the dataset's own types."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.candidate import read_candidate
from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.stages import ConvertSettings, PruneSettings, QuantizeSettings, RepresentativeDataset
from edgepress.contracts.training import TrainSettings
from edgepress.convert.representative import representative_inputs
from edgepress.convert.step import convert
from edgepress.errors import ModelError
from edgepress.models.adopt import adopt_model
from edgepress.models.keras import keras, tf
from edgepress.models.storage import load_model
from edgepress.tflite.litert import LiteRTModel
from tests.ml.tiny_candidates import describe, specs_of, write_baseline, write_dataset
from tests.ml.tiny_tasks import EXAMPLES

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

layers = keras.layers
Arrays = dict[str, NDArray[Any]]


def uint8_images() -> tuple[Arrays, NDArray[Any]]:
    images = np.random.default_rng(0).integers(0, 256, (EXAMPLES, 6, 6, 1)).astype(np.uint8)
    images[::2, :3] //= 4
    return {"image": images}, np.arange(EXAMPLES) % 2


def of_images() -> keras.Model:
    image = keras.Input((6, 6, 1), name="image", dtype="uint8")
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(layers.Rescaling(1 / 255.0, name="scaled")(image))
    return keras.Model(image, layers.Dense(2, name="head")(layers.Flatten(name="flat")(x)))


def int32_tokens() -> tuple[Arrays, NDArray[Any]]:
    tokens = np.random.default_rng(0).integers(0, 20, (EXAMPLES, 5)).astype(np.int32)
    return {"tokens": tokens}, np.asarray((tokens < 6).any(axis=1), np.int64)


def of_tokens() -> keras.Model:
    tokens = keras.Input((5,), name="tokens", dtype="int32")
    x = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(20, 8, name="words")(tokens))
    return keras.Model(tokens, layers.Dense(2, name="head")(x))


def both() -> tuple[Arrays, NDArray[Any]]:
    (tokens, labels), meta = int32_tokens(), np.random.default_rng(1).normal(size=(EXAMPLES, 3)).astype(np.float32)
    return {"meta": meta, **tokens}, np.where(meta[:, 0] > 0, 1 - labels, labels)


def of_both() -> keras.Model:
    tokens, meta = keras.Input((5,), name="tokens", dtype="int32"), keras.Input((3,), name="meta")
    x = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(20, 8, name="words")(tokens))
    x = layers.Dense(8, activation="relu", name="hidden")(layers.Concatenate(name="joined")([x, meta]))
    return keras.Model([tokens, meta], layers.Dense(2, name="head")(x))


CASES = pytest.mark.parametrize(("make", "build"), [(uint8_images, of_images), (int32_tokens, of_tokens), (both, of_both)])
Make = Callable[[], tuple[Arrays, NDArray[Any]]]


def outputs_of(candidate: Path, inputs: Arrays) -> NDArray[np.float32]:
    outputs: NDArray[np.float32] = load_model(candidate)(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=False).numpy()
    return outputs


def types_of(path: Path) -> dict[str, np.dtype[Any]]:
    return {spec.name: spec.dtype for spec in LiteRTModel.open(path / "model.tflite").inputs}


@CASES
def test_inputs_keep_their_types_from_training_to_the_device(make: Make, build: Callable[[], keras.Model], tmp_path: Path) -> None:
    arrays, labels = make()
    dataset = write_dataset(tmp_path / "data", arrays, labels)
    candidate = write_baseline(tmp_path / "baseline", dataset, build, epochs=3)
    pruning = PruneSettings(schedule="constant", frequency=1, train=TrainSettings(epochs=1))
    prune(recipe="r", settings=pruning, candidate=candidate, dataset=dataset.path, output=tmp_path / "pruned")
    inputs = {name: np.asarray(array[:40]) for name, array in dataset.split("validation").inputs.items()}
    expected = outputs_of(tmp_path / "pruned", inputs)
    for name, settings in {
        "float32": ConvertSettings(),
        "int8": ConvertSettings(quantization="int8"),
        "int8_io": ConvertSettings(quantization="int8", io="int8"),
    }.items():
        convert(recipe="r", settings=settings, candidate=tmp_path / "pruned", dataset=dataset.path, output=tmp_path / name)
        record = read_candidate(tmp_path / name)
        assert record.failure is None, record.failure
        found = LiteRTModel.open(tmp_path / name / "model.tflite").predict(inputs)
        assert np.max(np.abs(found - expected)) < (1e-4 if name == "float32" else 0.1 * np.ptp(expected))
    own = {name: array.dtype for name, array in arrays.items()}
    assert types_of(tmp_path / "float32") == types_of(tmp_path / "int8") == own
    assert types_of(tmp_path / "int8_io") == {name: np.dtype(np.int8) if dtype.kind == "f" else dtype for name, dtype in own.items()}
    signature = tf.saved_model.load(str(tmp_path / "int8" / "saved_model")).signatures["serving_default"]
    assert {name: spec.dtype.as_numpy_dtype for name, spec in signature.structured_input_signature[1].items()} == own
    np.testing.assert_allclose(signature(**inputs)["logits"], expected, atol=1e-4)


@CASES
def test_calibration_sees_the_datasets_types(make: Make, build: Callable[[], keras.Model], tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", *make())
    drawn = next(representative_inputs(dataset, RepresentativeDataset(samples=3)))
    assert {name: (array.dtype, array.shape) for name, array in drawn.items()} == {
        spec.name: (np.dtype(spec.dtype), (1, *spec.shape)) for spec in dataset.manifest.inputs
    }


@CASES
def test_such_a_model_is_adopted(make: Make, build: Callable[[], keras.Model], tmp_path: Path) -> None:
    arrays, _ = make()
    model = build()
    model.save(tmp_path / "model.h5")
    adopted = adopt_model(str(tmp_path / "model.h5"), "", describe(specs_of(arrays), 2))
    given = {name: array[:3] for name, array in arrays.items()}
    inputs = given if len(given) > 1 else next(iter(given.values()))
    np.testing.assert_array_equal(adopted(inputs), model(inputs))


def test_a_model_that_would_cut_off_fractions_is_refused(tmp_path: Path) -> None:
    of_tokens().save(tmp_path / "model.h5")
    with pytest.raises(ModelError) as raised:
        adopt_model(str(tmp_path / "model.h5"), "", describe(specs_of({"tokens": np.zeros((1, 5), np.float32)}), 2))
    assert "takes int32, and would cut off what is behind the point of the dataset's tokens, which is float32" in str(raised.value)


PREPROCESS = """
import tensorflow as tf

def build_model(input_shape, num_classes):
    raise NotImplementedError

def preprocess(x):
    return tf.cast(x, tf.float32) / 255.0
"""


def of_scaled_images() -> keras.Model:
    image = keras.Input((6, 6, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(image)
    return keras.Model(image, layers.Dense(2, name="head")(layers.Flatten(name="flat")(x)))


@pytest.mark.parametrize("io", ["float32", "int8"])
def test_images_scaled_by_preprocessing_can_be_quantized_while_training(io: str, tmp_path: Path) -> None:
    dataset: DatasetDirectory = write_dataset(tmp_path / "data", *uint8_images())
    candidate = write_baseline(tmp_path / "baseline", dataset, of_scaled_images, PREPROCESS, epochs=1)
    aware = QuantizeSettings(train=TrainSettings(epochs=1))
    quantize(recipe="q", settings=aware, candidate=candidate, dataset=dataset.path, output=tmp_path / "quantized")
    settings = ConvertSettings.model_validate({"quantization": "int8", "io": io})
    convert(recipe="q", settings=settings, candidate=tmp_path / "quantized", dataset=dataset.path, output=tmp_path / "out")
    record = read_candidate(tmp_path / "out")
    assert record.failure is None, record.failure
    assert types_of(tmp_path / "out") == {"image": np.dtype(np.uint8)}


@pytest.mark.parametrize(("make", "build"), [(uint8_images, of_images), (int32_tokens, of_tokens)])
def test_what_cannot_be_quantized_while_training_says_the_way_round(make: Make, build: Callable[[], keras.Model], tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", *make())
    candidate = write_baseline(tmp_path / "baseline", dataset, build, epochs=0)
    quantize(recipe="q", settings=QuantizeSettings(), candidate=candidate, dataset=dataset.path, output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert failure.reason.startswith("quantization-aware training does not apply: ")
    assert failure.reason.endswith("drop quantize from the recipe and let convert quantize after training")
