"""Adopting a trained model: all three Keras 2 formats, and nothing that would run code or does not fit."""

import importlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgepress.contracts.dataset import InputSpec
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import IntegrityError, ModelError
from edgepress.models.adopt import adopt_model, known_classes
from edgepress.models.keras import keras, set_seed, tf
from edgepress.storage import open_store
from tests.ml.tiny_candidates import describe

IMAGE = describe((InputSpec(name="image", shape=(6, 6, 1), dtype="float32"),), 4)

# Keras itself warns about the formats that this is about, and leaves its files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    set_seed(1)
    layers = keras.layers
    x = keras.Input((6, 6, 1))
    y = layers.Conv2D(3, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    y = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(y) + 1.0)
    y = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, y)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = np.random.default_rng(0)
    model.fit(data.random((32, 6, 6, 1)), data.integers(0, 4, 32), verbose=0)
    return model


def save(model: Any, path: Path) -> Path:
    model.save(path, **({} if path.suffix else {"save_format": "tf"}))
    return path


def digest_of(path: Path) -> str:
    return digest_tree(path) if path.is_dir() else digest_file(path)


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "saved_model"])
def test_an_adopted_model_predicts_as_before(trained: keras.Model, tmp_path: Path, name: str) -> None:
    path = save(trained, tmp_path / name)
    x = np.random.default_rng(5).random((8, 6, 6, 1), np.float32)
    adopted = adopt_model(str(path), digest_of(path), IMAGE)
    np.testing.assert_allclose(adopted.predict(x, verbose=0), trained.predict(x, verbose=0), rtol=0, atol=1e-6)
    assert adopted.optimizer is None


@pytest.mark.usefixtures("server")
def test_models_are_adopted_from_an_object_store(trained: keras.Model, tmp_path: Path) -> None:
    store, _ = open_store("s3://models")
    for name in ("model.h5", "saved_model"):
        path = save(trained, tmp_path / name)
        for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
            store.put_file(f"mine/{file.relative_to(tmp_path).as_posix()}", file)
        adopted = adopt_model(f"s3://models/mine/{name}", digest_of(path), IMAGE)
        for one, other in zip(adopted.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ModelError, match=r"s3://models/absent\.h5: there is no such object in .*, and nothing below it"):
        adopt_model("s3://models/absent.h5", "", IMAGE)


def test_a_model_that_changed_is_refused(trained: keras.Model, tmp_path: Path) -> None:
    path = save(trained, tmp_path / "model.h5")
    digest = digest_file(path)
    with h5py.File(path, "a") as file:
        file.attrs["changed"] = 1
    with pytest.raises(IntegrityError, match=r"model\.h5: changed since the run began"):
        adopt_model(str(path), digest, IMAGE)


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [
        ((6, 6, 1), 5, r"outputs shape \[4\] an example, but classification on this dataset needs \[5\]; change its last layer"),
        ((8, 8, 1), 4, r"takes examples of shape \[6, 6, 1\], the dataset's image has \[8, 8, 1\]"),
    ],
)
def test_a_model_that_does_not_fit_the_dataset_is_refused(
    trained: keras.Model, tmp_path: Path, shape: tuple[int, ...], classes: int, expected: str
) -> None:
    path = save(trained, tmp_path / "model.h5")
    with pytest.raises(ModelError, match=expected):
        adopt_model(str(path), "", describe((InputSpec(name="image", shape=shape, dtype="float32"),), classes))


class Doubled(keras.layers.Layer):
    """A layer that a file can only name."""

    def call(self, x: Any) -> Any:
        return 2 * x


class Subclassed(keras.Model):
    """A model without a graph of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.head = keras.layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.head(x)


def with_layer(layer: Any) -> keras.Model:
    layers = keras.layers
    return keras.Sequential([keras.Input((6, 6, 1)), layer, layers.Flatten(), layers.Dense(4)])


def subclassed(path: Path) -> Path:
    model = Subclassed()
    model(np.zeros((1, 4), np.float32))
    return save(model, path)


def exported(path: Path) -> Path:
    module = tf.Module()
    module.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec((None, 4))])
    tf.saved_model.save(module, str(path))
    return path


def keras_3(path: Path) -> Path:
    keras3 = importlib.import_module("keras")
    model = keras3.Sequential([keras3.Input((6, 6, 1)), keras3.layers.Flatten(), keras3.layers.Dense(4)])
    model.save(path)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "custom.h5": (lambda path: save(with_layer(Doubled()), path), "is a Doubled, which is not one of Keras' own"),
    "custom.keras": (lambda path: save(with_layer(Doubled()), path), "is a .*Doubled, which is not one of Keras' own"),
    "custom": (lambda path: save(with_layer(Doubled()), path), "is a Doubled, which is not one of Keras' own"),
    "subclassed": (subclassed, "is a Subclassed, a subclassed model"),
    "exported": (exported, "is a SavedModel without Keras"),
    "keras3.h5": (keras_3, r"was written by Keras 3\."),
    "keras3.keras": (keras_3, r"was written by Keras 3\."),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:__array__ implementation:DeprecationWarning")
def test_what_cannot_be_adopted_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    make, expected = REFUSED[name]
    path = make(tmp_path / name)
    with pytest.raises(ModelError, match=f"{name}: .*{expected}") as raised:
        adopt_model(str(path), digest_of(path), IMAGE)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras", "lambda"])
def test_the_code_of_a_lambda_never_runs(tmp_path: Path, name: str) -> None:
    ran = str(tmp_path / "ran")
    model = with_layer(keras.layers.Lambda(lambda x, ran=ran: [x, __import__("os").makedirs(ran, exist_ok=True)][0]))
    path = save(model, tmp_path / name)
    Path(ran).rmdir()
    with pytest.raises(ModelError, match="is a Lambda, whose code would run when the file is loaded"):
        adopt_model(str(path), "", IMAGE)
    assert not Path(ran).exists()


def test_a_module_that_a_file_names_is_never_imported(trained: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "trap_for_adoption.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = save(trained, tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] |= {"module": "trap_for_adoption", "class_name": "Conv2D"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="comes from the Python module trap_for_adoption, which is not Keras"):
        adopt_model(str(path), "", IMAGE)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_weights_that_lie_in_a_local_file_are_not_adopted(trained: keras.Model, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(12, dtype=np.float32).tobytes())
    path = save(trained, tmp_path / name)
    if path.suffix == ".h5":
        put_outside(path, secret)
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        (tmp_path / "weights").write_bytes(members["model.weights.h5"])
        put_outside(tmp_path / "weights", secret)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in (members | {"model.weights.h5": (tmp_path / "weights").read_bytes()}).items():
                archive.writestr(member, content)
    assert any(np.array_equal(weights.ravel()[:12], np.arange(12)) for weights in keras.models.load_model(path).get_weights()), (
        "Keras reads it"
    )
    with pytest.raises(ModelError, match="is stored in another file, and only what the file itself holds is read"):
        adopt_model(str(path), "", IMAGE)


def put_outside(path: Path, secret: Path) -> None:
    """Put the dense kernel [3, 4] of a stored model into another file."""
    with h5py.File(path, "a") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if getattr(item, "shape", None) == (3, 4) else None)
        kernel = next(name for name in found if "optimizer" not in name)
        del file[kernel]
        file.create_dataset(kernel, (3, 4), np.float32, external=[(str(secret), 0, 48)])


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "saved_model"])
def test_a_vocabulary_in_a_local_file_is_not_adopted(tmp_path: Path, name: str) -> None:
    numbers = keras.Input((1,), dtype=tf.int64)
    model = keras.Model(numbers, keras.layers.Dense(4)(keras.layers.IntegerLookup(vocabulary=[3, 4], output_mode="one_hot")(numbers)))
    path = save(model, tmp_path / name)
    with pytest.raises(ModelError, match=r"layer integer_lookup\S* is a IntegerLookup, which reads whatever file it names"):
        adopt_model(str(path), "", describe((InputSpec(name="x", shape=(1,), dtype="int64"),), 4))


def test_a_module_beside_the_configuration_is_never_imported(trained: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "trap_at_the_top.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = save(trained, tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"]) | {"module": "trap_at_the_top"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="comes from the Python module trap_at_the_top, which is not Keras"):
        adopt_model(str(path), "", IMAGE)
    assert not ran.exists()


def test_a_model_whose_weights_are_damaged_is_told(trained: keras.Model, tmp_path: Path) -> None:
    path = save(trained, tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        del file["model_weights"]
    with pytest.raises(ModelError, match=r"model\.h5: Keras 2 cannot load it: "):
        adopt_model(str(path), "", IMAGE)


def test_keras_own_classes_are_known_and_lambda_is_not() -> None:
    assert {"Conv2D", "DepthwiseConv2D", "BatchNormalization", "HeNormal", "L2", "MaxNorm", "InputLayer"} <= known_classes()
    assert not {"Lambda", "IntegerLookup", "StringLookup", "TextVectorization"} & known_classes()
