"""The training step: a candidate directory, complete or not there."""

from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.candidate import KERAS_NAME, MODULE_NAME, read_candidate
from edgepress.contracts.config import BaselineSettings
from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.training import TrainSettings
from edgepress.device.digest import digest_bytes, digest_file
from edgepress.errors import EdgePressError, IntegrityError, ModelError, StageError
from edgepress.models.storage import load_model
from edgepress.train.step import train
from tests.ml.tiny_candidates import dense, write_digits

QUICK = TrainSettings(epochs=2, batch_size=64, learning_rate=5e-3)
MODULE = """
from tensorflow import keras

def build_model(input_shape, num_classes, units):
    return keras.Sequential([
        keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units, activation="relu"), keras.layers.Dense(num_classes)
    ])

def preprocess(x):
    return 2.0 * x - 1.0
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


def test_a_builtin_model_is_trained(digits: DatasetDirectory, tmp_path: Path) -> None:
    settings = BaselineSettings(model="mlp", params={"hidden": [16]}, train=QUICK)
    train(recipe="baseline", settings=settings, dataset=digits.path, output=tmp_path / "out", state=str(tmp_path / "state"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"candidate.json", KERAS_NAME}
    record = read_candidate(tmp_path / "out")
    assert (record.recipe, record.dataset_digest, record.failure) == ("baseline", digits.manifest.digest, None)
    done = record.stage("train")
    assert done is not None
    assert done.facts["adopted"] is False
    assert done.facts["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert done.facts["epochs_run"] == 2
    assert done.facts["val_accuracy"] == max(done.curves["val_accuracy"]) > 0.3
    assert done.settings["model"] == "mlp"
    assert done.duration_s > 0
    split = digits.split("validation")
    predicted = load_model(tmp_path / "out")(np.asarray(split.inputs["image"])).numpy().argmax(axis=1)
    np.testing.assert_allclose(np.mean(predicted == split.labels), max(done.curves["val_accuracy"]), atol=1e-6)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["tensorboard"]
    assert any((tmp_path / "state" / "tensorboard").iterdir())


@pytest.mark.usefixtures("server")
def test_an_attempt_after_a_whole_training_in_a_pod_ends_at_once_with_the_same_model(
    digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when the first one's output could not be uploaded after its step had ended."""
    settings = BaselineSettings(model="mlp", params={"hidden": [16]}, train=QUICK)
    for attempt in ("first", "second"):
        output = tmp_path / attempt
        train(recipe="baseline", settings=settings, dataset=digits.path, output=output, state="s3://bucket/state/baseline/train")
    assert capsys.readouterr().out.partition("going on after epoch 2\n")[2] == ""
    first, second = (read_candidate(tmp_path / attempt).stage("train") for attempt in ("first", "second"))
    assert first is not None
    assert second is not None
    assert (second.facts, second.curves) == (first.facts, first.curves)
    for one, other in zip(load_model(tmp_path / "second").get_weights(), load_model(tmp_path / "first").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_users_module_is_trained_and_handed_on(digits: DatasetDirectory, tmp_path: Path) -> None:
    settings = BaselineSettings(module="elsewhere/module.py", params={"units": 8}, train=QUICK)
    uri = str(tmp_path / "placed.py")
    Path(uri).write_text(MODULE)
    train(
        recipe="baseline",
        settings=settings,
        dataset=digits.path,
        output=tmp_path / "out",
        module_uri=uri,
        module_digest=digest_bytes(MODULE.encode()),
    )
    assert (tmp_path / "out" / MODULE_NAME).read_text() == MODULE
    assert load_model(tmp_path / "out").count_params() == 64 * 8 + 8 + 8 * 10 + 10


def test_a_module_that_is_not_the_one_that_was_placed_is_refused(digits: DatasetDirectory, tmp_path: Path) -> None:
    uri = str(tmp_path / "placed.py")
    Path(uri).write_text(MODULE + "# changed\n")
    settings = BaselineSettings(module="elsewhere/module.py", params={"units": 8}, train=QUICK)
    with pytest.raises(IntegrityError, match=r"placed\.py: is not the module that the run began with"):
        train(
            recipe="baseline",
            settings=settings,
            dataset=digits.path,
            output=tmp_path / "out",
            module_uri=uri,
            module_digest=digest_bytes(MODULE.encode()),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["placed.py"]


def test_by_hand_the_module_is_read_from_its_file(digits: DatasetDirectory, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    settings = BaselineSettings(module=str(tmp_path / "mine.py"), params={"units": 8}, train=QUICK)
    train(recipe="baseline", settings=settings, dataset=digits.path, output=tmp_path / "out")
    assert (tmp_path / "out" / MODULE_NAME).read_text() == MODULE


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_trained_model_is_adopted_as_it_is(digits: DatasetDirectory, tmp_path: Path) -> None:
    model = dense()
    model.save(tmp_path / "mine.h5")
    settings = BaselineSettings.model_validate({"from": str(tmp_path / "mine.h5")})
    digest = digest_file(tmp_path / "mine.h5")
    train(recipe="baseline", settings=settings, dataset=digits.path, output=tmp_path / "out", source_digest=digest)
    done = read_candidate(tmp_path / "out").stage("train")
    assert done is not None
    assert (done.facts["adopted"], done.curves) == (True, {})
    assert done.settings["from"] == str(tmp_path / "mine.h5")
    for one, other in zip(load_model(tmp_path / "out").get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    split = digits.split("validation")
    predicted = model(np.asarray(split.inputs["image"])).numpy().argmax(axis=1)
    assert done.facts["val_accuracy"] == pytest.approx(np.mean(predicted == split.labels), abs=1e-6)
    with pytest.raises(IntegrityError, match="changed since the run began"):
        train(recipe="baseline", settings=settings, dataset=digits.path, output=tmp_path / "other", source_digest=digest_bytes(b"another"))


@pytest.mark.parametrize(
    ("settings", "module_source", "error", "expected"),
    [
        ({"model": "mlp", "params": {"hiden": [8]}}, "", ModelError, r"params\.hiden: is not a parameter; mlp takes hidden"),
        ({"module": "my/module.py"}, "def build_model(:", ModelError, r"my/module\.py:1: is not valid Python"),
        ({"module": "my/module.py"}, MODULE, ModelError, r"my/module\.py:4: build_model failed: TypeError: .*'units'"),
        ({"module": "my/module.py"}, "", ModelError, r"my/module\.py: cannot be read"),
        ({"from": "my/absent.h5"}, "", ModelError, r"my/absent\.h5: cannot be read"),
        ({"model": "mlp", "train": {"learning_rate": 10.0, "epochs": 1}}, "DIVERGE", StageError, "training diverged"),
    ],
)
def test_a_failure_leaves_nothing(
    digits: DatasetDirectory,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, object],
    module_source: str,
    error: type[EdgePressError],
    expected: str,
) -> None:
    if module_source == "DIVERGE":
        settings = {"module": "my/module.py", "params": {"units": 4}, "train": settings["train"]}
        module_source = MODULE + "def loss(y, p):\n    return 1e38 * p[:, 0] ** 2 * 1e38\n"
    uri = ""
    if module_source:
        uri = str(tmp_path_factory.mktemp("placed") / "module.py")
        Path(uri).write_text(module_source)
    with pytest.raises(error, match=expected) as raised:
        train(
            recipe="baseline",
            settings=BaselineSettings.model_validate(settings),
            dataset=digits.path,
            output=tmp_path / "out",
            module_uri=uri,
        )
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
