"""The training loop: it learns, keeps the best epoch, stops early, refuses to diverge, and goes on after it was killed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.run import CODE_DIGEST_VARIABLE
from edgepress.contracts.training import TrainSettings
from edgepress.errors import StageError
from edgepress.models.keras import keras, set_seed, tf
from edgepress.models.registry import build_model
from edgepress.train.fit import FitResult, build_optimizer, fit
from edgepress.train.objective import Objective
from edgepress.train.validation import Validation
from tests.ml.tiny_candidates import write_digits

QUICK = TrainSettings(epochs=4, batch_size=32, learning_rate=2e-2)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


def small(dataset: DatasetDirectory) -> keras.Model:
    set_seed(0)
    return build_model(ModelChoice(model="mlp", params={"hidden": [16]}), dataset.manifest.inputs, dataset.manifest)


def kept_accuracy(model: keras.Model, dataset: DatasetDirectory) -> float:
    split = dataset.split("validation")
    predicted = model(np.asarray(split.inputs["image"])).numpy().argmax(axis=1)
    return float(np.mean(predicted == split.labels))


def test_it_learns_and_keeps_the_best_epoch(digits: DatasetDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    model = small(digits)
    result = fit(model, digits, QUICK)
    assert set(result.curves) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert {len(curve) for curve in result.curves.values()} == {4} == {result.epochs_run}
    assert result.steps == 4 * 20
    assert max(result.curves["val_accuracy"]) > 0.8
    assert result.curves["loss"][-1] < result.curves["loss"][0]
    assert result.best_epoch == int(np.argmax(result.curves["val_accuracy"])) + 1
    assert result.val_selected == result.facts["val_accuracy"] == max(result.curves["val_accuracy"])
    np.testing.assert_allclose(kept_accuracy(model, digits), max(result.curves["val_accuracy"]), atol=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    last_steps = np.arange(1, 5) * 20 - 1
    np.testing.assert_allclose(result.curves["learning_rate"], 2e-2 * (1 + np.cos(np.pi * last_steps / 80)) / 2, rtol=1e-4)


class Spoil(keras.callbacks.Callback):
    """Sets the weights to zero at the end of one epoch, as a stage's own callback might change them."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch
        self.steps = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.steps += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.model.set_weights([weight * 0 for weight in self.model.get_weights()])


@pytest.mark.parametrize("counts_from_epoch", [0, 3])
def test_callbacks_see_every_step_and_what_they_leave_is_what_is_validated(digits: DatasetDirectory, counts_from_epoch: int) -> None:
    model, spoil = small(digits), Spoil(epoch=3)
    result = fit(model, digits, QUICK, callbacks=[spoil], counts_from_epoch=counts_from_epoch)
    assert spoil.steps == result.steps
    assert result.curves["val_accuracy"][3] < 0.2
    accuracy = kept_accuracy(model, digits)
    if counts_from_epoch == 0:
        assert result.best_epoch < 4
        assert accuracy > 0.7
    else:
        assert result.best_epoch == 4
        assert accuracy < 0.2


def test_it_stops_early(digits: DatasetDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    settings = QUICK.model_copy(update={"epochs": 50, "learning_rate": 1e-9, "early_stopping_patience": 2})
    result = fit(small(digits), digits, settings)
    assert result.epochs_run == result.best_epoch + 2 < 50
    assert "no better validation accuracy for 2 epochs; stopping" in capsys.readouterr().out


def test_early_stopping_counts_only_epochs_that_count(digits: DatasetDirectory) -> None:
    settings = QUICK.model_copy(update={"epochs": 50, "learning_rate": 1e-9, "early_stopping_patience": 2})
    result = fit(small(digits), digits, settings, counts_from_epoch=7)
    assert result.best_epoch >= 8
    assert result.epochs_run == result.best_epoch + 2 < 50


@pytest.mark.parametrize("loss", [lambda y, p: tf.reduce_mean(p) * np.nan, lambda y, p: tf.reduce_mean(p**2) + np.inf])
def test_a_diverged_training_is_refused(digits: DatasetDirectory, loss: Any) -> None:
    with pytest.raises(StageError, match=r"training diverged: loss is (nan|inf) after epoch 1; lower train\.learning_rate \(now 0\.02\)"):
        fit(small(digits), digits, QUICK, loss=loss)


def test_the_same_seed_gives_the_same_training(digits: DatasetDirectory) -> None:
    settings = QUICK.model_copy(update={"epochs": 2, "augment": "shift", "class_weights": "balanced", "weight_decay": 0.01})
    one, two = fit(small(digits), digits, settings), fit(small(digits), digits, settings)
    np.testing.assert_allclose(one.curves["loss"], two.curves["loss"], rtol=1e-4)
    other = fit(small(digits), digits, settings.model_copy(update={"seed": 9}))
    assert not np.allclose(one.curves["loss"], other.curves["loss"], rtol=1e-4)


def test_weight_decay_shrinks_kernels_and_nothing_else() -> None:
    layer = keras.layers.Dense(2, bias_initializer="ones")
    norm = keras.layers.BatchNormalization(beta_initializer="ones")
    layer.build((None, 3))
    norm.build((None, 2))
    variables = [*layer.trainable_variables, *norm.trainable_variables]
    before = [variable.numpy() for variable in variables]
    settings = TrainSettings(learning_rate=0.1, learning_rate_schedule="constant", weight_decay=0.5)
    optimizer = build_optimizer(settings, total_steps=1)
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    for variable, value in zip(variables, before, strict=True):
        expected = value * (1 - 0.1 * 0.5) if "kernel" in variable.name else value
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)


class Wrapper(keras.Model):
    """Trains another model with a train_step of its own, as distillation does."""

    def __init__(self, inner: keras.Model) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any, training: bool = False) -> Any:
        return self.inner(x, training=training)


def test_a_wrapper_is_fitted_and_the_model_within_it_kept(digits: DatasetDirectory) -> None:
    model = small(digits)
    result = fit(model, digits, QUICK, train_step_model=Wrapper(model))
    assert max(result.curves["val_accuracy"]) > 0.8
    np.testing.assert_allclose(kept_accuracy(model, digits), max(result.curves["val_accuracy"]), atol=1e-6)


def test_curves_go_to_tensorboard(digits: DatasetDirectory, tmp_path: Path) -> None:
    result = fit(small(digits), digits, QUICK.model_copy(update={"epochs": 2}), log_dir=tmp_path)
    (events,) = tmp_path.iterdir()
    logged: dict[str, list[float]] = {}
    for record in tf.data.TFRecordDataset(str(events)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            logged.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    assert set(logged) == set(result.curves)
    np.testing.assert_allclose(logged["val_accuracy"], result.curves["val_accuracy"], rtol=1e-6)


TRAIN_IN_A_PROCESS = """
import sys
import time
from pathlib import Path
from edgepress.contracts.dataset import open_dataset
from edgepress.models.keras import keras
from tests.ml.test_train_fit import LONG, small
from edgepress.train.fit import fit
dataset = open_dataset(Path(sys.argv[1]))
class Wait(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 10 and self.model.optimizer.iterations > 45:
            time.sleep(600)
fit(small(dataset), dataset, LONG, state=sys.argv[2], callbacks=[Wait()])
"""
LONG = QUICK.model_copy(update={"epochs": 6, "augment": "shift", "weight_decay": 0.01})


def resumed(dataset: DatasetDirectory, state: Path) -> tuple[keras.Model, FitResult]:
    model = small(dataset)
    return model, fit(model, dataset, LONG, state=str(state))


def test_a_killed_training_goes_on_after_its_last_finished_epoch(
    digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", TRAIN_IN_A_PROCESS, str(digits.path), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                process.kill()
    assert process.returncode == -9
    capsys.readouterr()

    model, result = resumed(digits, tmp_path)
    printed = capsys.readouterr().out
    assert printed.startswith("going on after epoch 2")
    assert "epoch 2/6" not in printed
    assert "epoch 6/6" in printed

    whole = small(digits)
    uninterrupted = fit(whole, digits, LONG)
    assert result.epochs_run == 6
    assert set(result.curves) == set(uninterrupted.curves)
    for name, curve in uninterrupted.curves.items():
        np.testing.assert_allclose(result.curves[name], curve, rtol=2e-2, atol=1e-6, err_msg=name)
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-2)

    again, repeated = resumed(digits, tmp_path)
    assert repeated == result
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_of_other_settings_is_left_alone(digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = QUICK.model_copy(update={"epochs": 1})
    fit(small(digits), digits, once, state=str(tmp_path))
    fit(small(digits), digits, once.model_copy(update={"learning_rate": 1e-4}), state=str(tmp_path))
    assert "going on" not in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2
    fit(small(digits), digits, once, state=str(tmp_path))
    assert capsys.readouterr().out == "going on after epoch 1\n"


def test_a_state_of_another_origin_is_left_alone(digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = QUICK.model_copy(update={"epochs": 1})
    fit(small(digits), digits, once, state=str(tmp_path), started_from="one candidate")
    fit(small(digits), digits, once, state=str(tmp_path), started_from="another candidate")
    assert "going on" not in capsys.readouterr().out


def test_a_state_of_other_code_is_left_alone(
    digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = QUICK.model_copy(update={"epochs": 1})
    for code, goes_on in (("sha256:old", False), ("sha256:new", False), ("sha256:old", True)):
        monkeypatch.setenv(CODE_DIGEST_VARIABLE, code)
        fit(small(digits), digits, once, state=str(tmp_path))
        assert ("going on" in capsys.readouterr().out) == goes_on


def test_a_store_that_takes_no_state_does_not_end_a_training(
    digits: DatasetDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file, where no folder can be made")
    result = fit(small(digits), digits, QUICK.model_copy(update={"epochs": 2}), state=str(tmp_path / "state"))
    assert result.epochs_run == 2
    assert capsys.readouterr().out.count("this epoch's state was not kept, training goes on: ") == 2


def test_validation_counts_every_example_once(digits: DatasetDirectory) -> None:
    model = small(digits)
    objective = Objective.of(model, digits.manifest)
    values = Validation(model, objective, digits, objective.loss())()
    assert values["val_accuracy"] == kept_accuracy(model, digits)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    split = digits.split("validation")
    expected = model.evaluate(np.asarray(split.inputs["image"]), np.asarray(split.labels), verbose=0)
    assert values["val_loss"] == pytest.approx(expected, rel=1e-5)
