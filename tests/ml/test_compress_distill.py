"""Distillation: the loss by hand, and a student that learns from nobody but its teacher."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from edgepress.compress.distill.distillation import fresh_copy
from edgepress.compress.distill.loss import Distiller, log_outputs, soft_target_loss
from edgepress.compress.distill.step import distill
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.candidate import read_candidate
from edgepress.contracts.stages import DistillSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.device.digest import digest_tree
from edgepress.models.keras import keras, tf
from edgepress.models.outputs import output_meaning
from edgepress.models.storage import load_model
from edgepress.tasks.registry import TASKS
from tests.ml.tiny_candidates import convolutional, dense, write_baseline, write_dataset, write_digits

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

TEACHER = np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]], np.float32)
STUDENT = np.array([[1.0, 1.5, 0.0], [0.3, 0.2, 0.1]], np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


def by_hand(temperature: float) -> np.ndarray:
    p, q = softmax(TEACHER / temperature), softmax(STUDENT / temperature)
    divergence: np.ndarray = (p * np.log(p / q)).sum(axis=-1)
    return temperature**2 * divergence


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_teachers_part_is_the_papers(temperature: float) -> None:
    np.testing.assert_allclose(soft_target_loss(TEACHER, STUDENT, temperature), by_hand(temperature), rtol=1e-5)


def test_log_probabilities_serve_as_logits() -> None:
    log_probabilities = np.log(softmax(TEACHER)).astype(np.float32)
    np.testing.assert_allclose(soft_target_loss(log_probabilities, STUDENT, 3.0), by_hand(3.0), rtol=1e-5)


def fixed(outputs: np.ndarray, probabilities: bool) -> keras.Model:
    """A model that gives row i of ``outputs`` for input [i]: logits, or the probabilities of them."""
    index = keras.Input((1,), name="index")
    table = keras.layers.Embedding(*outputs.shape, embeddings_initializer=keras.initializers.Constant(outputs))
    rows = keras.layers.Flatten()(table(index))
    return keras.Model(index, keras.layers.Softmax()(rows) if probabilities else rows)


@pytest.mark.parametrize("student_probabilities", [False, True])
@pytest.mark.parametrize("teacher_probabilities", [False, True])
@pytest.mark.parametrize("weights", [None, np.array([2.0, 0.5], np.float32)])
def test_the_whole_loss_is_the_papers(teacher_probabilities: bool, student_probabilities: bool, weights: np.ndarray | None) -> None:
    student = fixed(STUDENT, student_probabilities)
    of_teacher, of_student = (
        log_outputs("probabilities" if probabilities else "logits", 3) for probabilities in (teacher_probabilities, student_probabilities)
    )
    distiller = Distiller(
        student, fixed(TEACHER, teacher_probabilities), lambda t, s: soft_target_loss(of_teacher(t), of_student(s), 4.0), alpha=0.7
    )
    distiller.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not student_probabilities))
    x, labels = tf.constant([[0], [1]]), np.array([1, 2])
    cross_entropy = -np.log(softmax(STUDENT)[[0, 1], labels])
    expected = np.mean((0.7 * by_hand(4.0) + 0.3 * cross_entropy) * (1.0 if weights is None else weights))
    loss = distiller.compute_loss(x, tf.constant(labels), distiller(x), None if weights is None else tf.constant(weights))
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    assert distiller.get_metrics_result()["loss"].numpy() == pytest.approx(float(expected), rel=1e-4), "the loss that logs show"
    assert len(distiller.trainable_variables) == len(student.trainable_variables), "the teacher is not trained"


def test_a_student_learns_without_any_label(tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense)
    before = digest_tree(baseline)
    settings = DistillSettings(
        student=ModelChoice(model="mlp", params={"hidden": [16]}),
        alpha=1.0,
        train=TrainSettings(epochs=6, batch_size=32, learning_rate=1e-2),
    )
    distill(recipe="small", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    record = read_candidate(tmp_path / "out")
    assert record.failure is None
    facts = record.trace[-1].facts
    assert (facts["teacher_parameters"], facts["student_parameters"]) == (64 * 32 + 32 + 32 * 10 + 10, 64 * 16 + 16 + 16 * 10 + 10)
    assert float(str(facts["val_accuracy"])) > 0.75
    assert load_model(tmp_path / "out").name == "mlp"
    assert digest_tree(baseline) == before


PROBABILITIES = """
import tensorflow as tf
from tensorflow import keras

def build_model(input_shape, num_classes):
    raise NotImplementedError

def preprocess(x):
    return tf.cast(x, tf.float32) / 16.0

def loss(y_true, y_pred):
    return -tf.math.log(tf.maximum(tf.gather(y_pred, y_true, batch_dims=1), 1e-7))

def metrics():
    return [keras.metrics.SparseCategoricalCrossentropy(name="entropy")]
"""


def test_a_student_gives_what_the_hooks_are_written_for(tmp_path: Path) -> None:
    """A module whose model takes whole numbers and ends in a softmax teaches a built-in, which takes floats and would give logits."""
    images, labels = load_digits(return_X_y=True)
    dataset = write_dataset(tmp_path / "dataset", {"image": images.reshape(-1, 8, 8, 1).astype(np.uint8)}, labels)
    baseline = write_baseline(tmp_path / "baseline", dataset, lambda: convolutional(probabilities=True), module=PROBABILITIES, epochs=1)
    settings = DistillSettings(
        student=ModelChoice(model="mlp", params={"hidden": [16]}),
        alpha=0.0,
        train=TrainSettings(epochs=6, batch_size=32, learning_rate=1e-2),
    )
    distill(recipe="small", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "distilled")
    quick = QuantizeSettings(train=TrainSettings(epochs=1, batch_size=32))
    quantize(recipe="small", settings=quick, candidate=tmp_path / "distilled", dataset=tmp_path / "dataset", output=tmp_path / "quantized")
    record = read_candidate(tmp_path / "quantized")
    assert record.failure is None
    curves = record.trace[0].curves
    assert max(curves["val_accuracy"]) > 0.75
    assert curves["val_entropy"] == pytest.approx(curves["val_loss"], rel=1e-3)
    student = load_model(tmp_path / "distilled")
    assert (student.name, output_meaning(student, TASKS["classification"])) == ("mlp", "probabilities")
    assert output_meaning(load_model(tmp_path / "quantized"), TASKS["classification"]) == "probabilities"


def test_a_fresh_copy_keeps_what_was_adapted_and_forgets_what_was_learnt() -> None:
    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], np.float32))
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(4, name="learnt")(adapted(inputs)))
    copy = fresh_copy(model, {})
    np.testing.assert_array_equal(copy.get_layer("adapted").mean, model.get_layer("adapted").mean)
    assert not np.array_equal(copy.get_layer("learnt").kernel, model.get_layer("learnt").kernel)


NAN_LOSS = """
import tensorflow as tf

def build_model(input_shape, num_classes):
    raise NotImplementedError

def loss(y_true, y_pred):
    return tf.reduce_mean(y_pred) * float("nan")
"""


@pytest.mark.parametrize(
    ("module", "settings", "reason"),
    [
        (NAN_LOSS, DistillSettings(train=TrainSettings(epochs=1)), "training diverged: loss is nan"),
        ("", DistillSettings(student=ModelChoice(model="mlp", params={"widht": 2})), "distill.student: params.widht: is not a parameter"),
    ],
)
def test_a_stage_that_cannot_go_on_fails_its_candidate(module: str, settings: DistillSettings, reason: str, tmp_path: Path) -> None:
    baseline = write_baseline(tmp_path / "baseline", write_digits(tmp_path / "dataset"), dense, module=module, epochs=0)
    distill(recipe="small", settings=settings, candidate=baseline, dataset=tmp_path / "dataset", output=tmp_path / "out")
    failure = read_candidate(tmp_path / "out").failure
    assert failure is not None
    assert failure.stage == "distill"
    assert failure.reason.startswith(reason)
