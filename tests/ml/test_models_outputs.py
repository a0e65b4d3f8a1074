"""What a model's output means, however the softmax at its end is written and wherever it stands."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow_model_optimization as tfmot

from edgepress.contracts.dataset import InputSpec
from edgepress.errors import ModelError
from edgepress.models.check import check_model
from edgepress.models.keras import keras, tf
from edgepress.models.outputs import output_meaning
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import TaskName
from edgepress.train.objective import Objective
from tests.ml.tiny_candidates import describe

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

layers = keras.layers
X = (InputSpec(name="x", shape=(4,), dtype="float32"),)


def meaning(model: Any) -> str:
    return output_meaning(model, TASKS["classification"])


def _ending(kind: str) -> Any:
    layers = keras.layers
    x = keras.Input((4,), name="x")
    y = layers.Dense(3, activation="softmax" if kind == "dense" else None)(x)
    if kind == "layer":
        y = layers.Softmax()(y)
    if kind == "activation":
        y = layers.Activation("softmax")(y)
    if kind == "operation":
        y = tf.nn.softmax(y)
    return keras.Model(x, y)


@pytest.mark.parametrize("kind", ["dense", "layer", "activation", "operation"])
def test_a_softmax_is_seen_however_it_is_written(kind: str) -> None:
    assert meaning(_ending(kind)) == "probabilities"


def test_a_softmax_is_seen_under_wrappers() -> None:
    assert meaning(tfmot.quantization.keras.quantize_model(_ending("dense"))) == "probabilities"
    assert meaning(tfmot.sparsity.keras.prune_low_magnitude(_ending("dense"))) == "probabilities"


def test_other_endings_are_no_softmax() -> None:
    x = keras.Input((4,))
    assert meaning(keras.Model(x, keras.layers.Dense(3, activation="sigmoid")(x))) == "logits"
    with pytest.raises(ModelError, match="has 2 outputs"):
        meaning(keras.Model(x, [x, x]))


def classifier(*last: Any) -> Any:
    """Some layers behind a softmax over three classes."""
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax"), *last])


def branches(*ends: str | None, join: Callable[[list[Any]], Any], size: int = 3) -> Any:
    x = keras.Input((4,))
    return keras.Model(x, join([layers.Dense(size, activation=end)(x) for end in ends]))


def conv(*last: Any) -> Any:
    return keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(3, 3, activation="softmax"), *last])


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.Sequential([keras.Input((4,)), layers.Rescaling(2.0), classifier()]),
        lambda: keras.Sequential([keras.Input((4,)), keras.Sequential([keras.Input((4,)), classifier()])]),
        lambda: keras.Sequential([keras.Input((4,)), classifier(), keras.Sequential([keras.Input((3,)), layers.Reshape((3,))])]),
        lambda: classifier(layers.Reshape((3,)), layers.Flatten(), layers.Dropout(0.5), layers.Activation("linear")),
        lambda: conv(layers.GlobalAveragePooling2D()),
        lambda: branches("softmax", "softmax", join=layers.Average()),
        lambda: branches("softmax", join=lambda given: tf.cast(tf.reshape(given[0], (-1, 3)), tf.float32)),
        lambda: tfmot.sparsity.keras.prune_low_magnitude(classifier(layers.Flatten())),
        lambda: tfmot.quantization.keras.quantize_model(classifier(layers.Flatten())),
    ],
)
def test_a_softmax_is_seen_through_what_leaves_probabilities_as_they_are(build: Callable[[], Any]) -> None:
    model = build()
    assert meaning(model) == "probabilities"
    objective = Objective.of(model, describe(X, 3))
    # Of the right class, certain: no loss. As logits it would be 0.55.
    assert float(objective.loss()(tf.constant([1]), tf.constant([[0.0, 1.0, 0.0]]))) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: classifier(layers.Dense(3)),
        lambda: keras.Sequential([keras.Input((4,)), classifier(), keras.Sequential([keras.Input((3,)), layers.Dense(3)])]),
        lambda: branches("softmax", None, join=layers.Multiply()),
        lambda: branches("softmax", join=lambda given: tf.math.log(given[0])),
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Reshape((3,))]),
        lambda: keras.Sequential([keras.Input((3,)), layers.Flatten()]),
    ],
)
def test_what_is_made_anew_from_probabilities_is_not_one(build: Callable[[], Any]) -> None:
    assert meaning(build()) == "logits"


def single(*last: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid"), *last])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: single(), "probabilities"),
        (lambda: single(layers.Reshape((1,)), layers.Dropout(0.5)), "probabilities"),
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1), layers.Activation("sigmoid")]), "probabilities"),
        (lambda: branches("sigmoid", "sigmoid", size=1, join=layers.Average()), "probabilities"),
        (lambda: branches(None, size=1, join=lambda given: tf.sigmoid(given[0])), "probabilities"),
        (lambda: tfmot.quantization.keras.quantize_model(single()), "probabilities"),
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]), "logits"),
        (lambda: single(layers.Dense(1)), "logits"),
    ],
)
def test_one_output_for_two_classes_is_a_probability_behind_a_sigmoid(build: Callable[[], Any], expected: str) -> None:
    assert meaning(build()) == expected


@pytest.mark.parametrize(("task", "expected"), [("regression", "values"), ("anomaly_detection", "reconstruction")])
def test_what_is_no_classifier_gives_what_its_task_says(task: TaskName, expected: str) -> None:
    assert output_meaning(classifier(), TASKS[task]) == expected


@pytest.mark.parametrize(
    "build",
    [
        lambda: single(layers.Rescaling(2.0)),
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="softmax")]),
        lambda: classifier(layers.Rescaling(100.0)),
        lambda: classifier(layers.ReLU(), layers.Flatten()),
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(6), layers.Reshape((2, 3)), layers.Softmax(), layers.Flatten()]),
        lambda: branches("softmax", "softmax", join=layers.Add()),
    ],
)
def test_what_is_neither_logits_nor_probabilities_is_refused(build: Callable[[], Any]) -> None:
    model = build()
    with pytest.raises(ModelError, match=r"its last layers change what a (sigmoid or )?softmax gave"):
        meaning(model)
    with pytest.raises(ModelError, match=r"^module\.py:3: model \S+: its last layers change what a (sigmoid or )?softmax gave"):
        check_model(model, X, describe(X, max(2, model.output_shape[-1])), "module.py:3")
