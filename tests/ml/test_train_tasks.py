"""The training loop on each kind of learning task: its loss, the metric that selects, and what it may be trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.contracts.dataset import DatasetDirectory, open_dataset
from edgepress.contracts.training import TrainSettings
from edgepress.errors import ConfigError, DataError
from edgepress.models.keras import keras, set_seed, tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.observations import OutputMeaning
from edgepress.tasks.ranking import auc
from edgepress.train.batches import train_batches, validation_batches
from edgepress.train.fit import FitResult, fit
from edgepress.train.objective import Objective
from tests.ml.tiny_candidates import describe, specs_of
from tests.ml.tiny_tasks import (
    autoencoder,
    one_logit,
    one_probability,
    regressor,
    write_anomalies,
    write_regression,
    write_two_classes,
)

QUICK = TrainSettings(epochs=5, batch_size=32, learning_rate=2e-2)


def trained(build: Callable[[], keras.Model], dataset: DatasetDirectory, **given: Any) -> tuple[keras.Model, FitResult]:
    set_seed(0)
    model = build()
    return model, fit(model, dataset, QUICK, **given)


def outputs_of(model: keras.Model, dataset: DatasetDirectory) -> np.ndarray:
    outputs: np.ndarray = model(np.asarray(dataset.split("validation").inputs["x"]), training=False).numpy()
    return outputs


def test_a_regression_selects_the_smallest_error(tmp_path: Path) -> None:
    dataset = write_regression(tmp_path / "data")
    model, result = trained(regressor, dataset)
    assert result.curves.keys() == {"loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error", "learning_rate"}
    errors = outputs_of(model, dataset) - dataset.split("validation").labels
    assert result.val_selected == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert result.val_selected == min(result.curves["val_mean_absolute_error"]) < 0.5
    assert result.facts.keys() == {"epochs_run", "best_epoch", "val_mean_absolute_error"}
    assert result.curves["val_loss"][result.best_epoch - 1] == pytest.approx(np.square(errors).mean(), rel=1e-4)


def test_an_early_end_waits_for_the_error_to_rise(tmp_path: Path) -> None:
    dataset = write_regression(tmp_path / "data")
    patient = QUICK.model_copy(update={"epochs": 8, "early_stopping_patience": 2, "learning_rate_schedule": "constant"})
    assert fit(regressor(), dataset, patient.model_copy(update={"learning_rate": 1e-3})).epochs_run == 8
    diverging = patient.model_copy(update={"learning_rate": 2.0})
    result = fit(regressor(), dataset, diverging)
    assert result.epochs_run == min(8, result.best_epoch + 2)


def test_an_autoencoder_learns_what_is_normal_and_selects_by_auc(tmp_path: Path) -> None:
    dataset = write_anomalies(tmp_path / "data")
    model, result = trained(autoencoder, dataset)
    assert result.curves.keys() == {"loss", "val_loss", "val_auc", "learning_rate"}
    split = dataset.split("validation")
    errors = np.square(outputs_of(model, dataset) - split.inputs["x"]).mean(axis=1)
    assert result.val_selected == pytest.approx(auc(errors, split.labels == 1), abs=1e-6)
    assert result.val_selected == max(result.curves["val_auc"]) > 0.9
    assert result.curves["val_loss"][result.best_epoch - 1] == pytest.approx(errors.mean(), rel=1e-4)
    assert errors[split.labels == 0].mean() < 0.3 * errors[split.labels == 1].mean()


@pytest.mark.parametrize(("build", "threshold"), [(one_logit, 0.0), (one_probability, 0.5)])
def test_one_output_serves_two_classes(build: Callable[[], keras.Model], threshold: float, tmp_path: Path) -> None:
    dataset = write_two_classes(tmp_path / "data")
    model, result = trained(build, dataset)
    assert result.curves.keys() == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    labels, outputs = dataset.split("validation").labels, outputs_of(model, dataset)[:, 0].astype(np.float64)
    assert result.val_selected == np.mean((outputs > threshold) == labels) > 0.9
    assert result.curves["accuracy"][-1] > 0.9
    second = 1.0 / (1.0 + np.exp(-outputs)) if threshold == 0.0 else outputs
    entropy = -np.log(np.where(labels == 1, second, 1.0 - second)).mean()
    assert result.curves["val_loss"][result.best_epoch - 1] == pytest.approx(entropy, rel=1e-3)


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_the_loss_of_one_output_is_weighed_by_example(meaning: OutputMeaning) -> None:
    outputs = np.array([[1.5], [-0.5], [0.25]], np.float32)
    build = one_logit if meaning == "logits" else one_probability
    second = 1.0 / (1.0 + np.exp(-outputs[:, 0].astype(np.float64)))
    labels, weights = np.array([1, 0, 0]), np.array([1.0, 2.0, 0.0], np.float32)
    expected = np.sum(-np.log(np.where(labels == 1, second, 1.0 - second)) * weights) / 3
    loss = Objective.of(build(), describe(specs_of({"x": np.zeros((1, 4), np.float32)}), 2)).loss()
    given = outputs if meaning == "logits" else second[:, None].astype(np.float32)
    for shape in ((3,), (3, 1)):  # as in a dataset, and as Keras hands it on
        found = loss(tf.constant(labels.reshape(shape)), tf.constant(given), sample_weight=tf.constant(weights))
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_classes_alone_are_weighed(tmp_path: Path) -> None:
    weighed = QUICK.model_copy(update={"class_weights": "balanced"})
    assert fit(one_logit(), write_two_classes(tmp_path / "classes"), weighed).epochs_run == 5
    with pytest.raises(ConfigError) as raised:
        fit(regressor(), write_regression(tmp_path / "values"), weighed)
    assert str(raised.value) == "train.class_weights: balanced is for classes, but the task is regression; set it to none"


def test_an_anomaly_in_the_training_split_is_refused(tmp_path: Path) -> None:
    dataset = write_anomalies(tmp_path / "data")
    labels = np.asarray(dataset.split("train").labels).copy()
    labels[5] = 1
    np.save(dataset.path / "train" / "labels.npy", labels)
    with pytest.raises(DataError) as raised:
        fit(autoencoder(), open_dataset(dataset.path), QUICK)
    assert str(raised.value) == (
        "the training split holds other examples than 0, which alone anomaly_detection trains on; run ingest again"
    )


def test_a_validation_split_that_cannot_tell_is_named(tmp_path: Path) -> None:
    dataset = write_anomalies(tmp_path / "data")
    np.save(dataset.path / "validation" / "labels.npy", np.zeros(200, np.int64))
    with pytest.raises(DataError, match="the validation split cannot tell the AUC, by which anomaly_detection selects"):
        fit(autoencoder(), open_dataset(dataset.path), QUICK)


def test_a_reconstruction_is_held_against_the_input_before_preprocessing(tmp_path: Path) -> None:
    dataset = write_anomalies(tmp_path / "data")
    module = UserModule(shown_as="module.py", build_model=autoencoder, preprocess=lambda x: x / 2.0, augment=lambda x, y: (x + 1.0, y))
    plain = UserModule(shown_as="module.py", build_model=autoencoder)
    (raw, _), (x, target) = (next(iter(train_batches(dataset, QUICK, given))) for given in (plain, module))
    np.testing.assert_allclose(target, raw + 1.0, rtol=1e-6)
    np.testing.assert_allclose(x, (raw + 1.0) / 2.0, rtol=1e-6)
    x, target = next(iter(validation_batches(dataset, module)))
    np.testing.assert_array_equal(target, dataset.split("validation").inputs["x"])
    np.testing.assert_allclose(x, target / 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("write", "build", "shapes"),
    [
        (write_two_classes, one_logit, ((32,), (32, 1))),
        (write_regression, regressor, ((32, 2), (32, 2))),
        (write_anomalies, autoencoder, ((32, 8), (32, 8))),
    ],
)
def test_the_users_loss_sees_labels_as_they_are(
    write: Callable[[Path], DatasetDirectory], build: Callable[[], keras.Model], shapes: tuple[tuple[int, ...], ...], tmp_path: Path
) -> None:
    seen = set()

    def loss(labels: Any, outputs: Any) -> Any:
        seen.add((tuple(labels.shape), tuple(outputs.shape)))
        return tf.reduce_mean(tf.square(outputs))

    module = UserModule(shown_as="module.py", build_model=build, loss=loss)
    trained(build, write(tmp_path / "data"), user_module=module)
    assert shapes in seen
    assert {(len(labels), labels[1:], outputs[1:]) for labels, outputs in seen} == {(len(shapes[0]), shapes[0][1:], shapes[1][1:])}
