"""What training minimises and reports, by the kind of learning task and by what the model's output means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgepress.contracts.dataset import DatasetDescription
from edgepress.errors import ModelError
from edgepress.models.keras import keras, tf
from edgepress.models.outputs import output_meaning
from edgepress.models.user_module import UserModule, first_line
from edgepress.tasks.observations import OutputMeaning
from edgepress.tasks.task import LearningTask

LossFunction = Callable[[Any, Any], Any]
"""From (targets [batch, *target shape], outputs [batch, *output shape]) to a loss of each example, float32 [batch], or a scalar."""


class ExampleLoss(keras.losses.Loss):
    """A loss function as Keras takes it.

    In a training step Keras gives targets of shape [batch] a second axis; the function sees them as they are in the dataset.
    """

    def __init__(self, function: LossFunction, target_shape: tuple[int, ...]) -> None:
        super().__init__(name="loss")
        self._function = function
        self._target_shape = target_shape

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._function(tf.reshape(y_true, (-1, *self._target_shape)), y_pred)


@dataclass(frozen=True)
class Objective:
    """What one model is trained towards.

    Attributes:
        task: the kind of learning task.
        meaning: of the model's output.
        output_shape: of one example.
        target_shape, target_dtype: of what that is held against: a label, or for a reconstruction the input in float32.
    """

    task: LearningTask
    meaning: OutputMeaning
    output_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    target_dtype: Any

    @classmethod
    def of(cls, model: keras.Model, dataset: DatasetDescription) -> "Objective":
        """The objective of a model for a dataset.

        Raises:
            ModelError: the model's output is none that the task can have.
        """
        task, output_shape = dataset.learning_task, tuple(model.outputs[0].shape[1:])
        reconstructs = task.loss == "reconstruction_error"
        return cls(
            task=task,
            meaning=output_meaning(model, task),
            output_shape=output_shape,
            target_shape=output_shape if reconstructs else dataset.label_shape,
            target_dtype=tf.float32 if reconstructs else tf.as_dtype(task.label_dtype),
        )

    def loss(self, function: LossFunction | None = None) -> keras.losses.Loss:
        """The loss that a function gives; without one, the task's."""
        if function is None and self.task.loss == "cross_entropy" and self.output_shape != (1,):
            return keras.losses.SparseCategoricalCrossentropy(from_logits=self.meaning == "logits")
        return ExampleLoss(function or self._default_function(), self.target_shape)

    def loss_of(self, user_module: UserModule | None) -> LossFunction | None:
        """The module's loss, tried once on zeros so that a mistake in it is told with its line; None without one.

        Raises:
            ModelError: it fails, or gives something else than one number or one an example.
        """
        if user_module is None or user_module.loss is None:
            return None
        tried = user_module.call("loss", tf.zeros([2, *self.target_shape], self.target_dtype), tf.zeros([2, *self.output_shape]))
        shape = getattr(tried, "shape", None)
        if shape not in ((), (2,)):
            where = f"{user_module.shown_as}:{first_line(user_module.loss)}"
            raise ModelError(f"{where}: loss must return a float tensor, [batch] or scalar, not one of shape {shape}")
        return user_module.loss

    def metrics(self) -> list[Any]:
        """The metric that selects, on batches of training; none where these cannot tell, as AUC where all examples are normal."""
        name = self.task.selecting.name
        if name == "accuracy" and self.output_shape == (1,):
            return [keras.metrics.BinaryAccuracy(name=name, threshold=0.0 if self.meaning == "logits" else 0.5)]
        if name == "accuracy":
            return [keras.metrics.SparseCategoricalAccuracy(name=name)]
        return [keras.metrics.MeanAbsoluteError(name=name)] if name == "mean_absolute_error" else []

    def _default_function(self) -> LossFunction:
        if self.task.loss != "cross_entropy":
            return squared_error
        return binary_cross_entropy_of_logits if self.meaning == "logits" else binary_cross_entropy


def squared_error(targets: Any, outputs: Any) -> Any:
    """Mean squared difference of each example, float32 [batch]."""
    difference = outputs - tf.cast(targets, outputs.dtype)
    return tf.reduce_mean(tf.square(difference), axis=list(range(1, difference.shape.rank)))


def binary_cross_entropy_of_logits(labels: Any, outputs: Any) -> Any:
    """-log of the probability of each example's class, float32 [batch], from the logit of the second class [batch, 1]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(labels, outputs.dtype), logits=outputs[:, 0])


def binary_cross_entropy(labels: Any, outputs: Any) -> Any:
    """As above, from the probability of the second class."""
    second = outputs[:, 0]
    of_label = tf.where(tf.equal(labels, 1), second, 1.0 - second)
    return -tf.math.log(tf.maximum(of_label, keras.backend.epsilon()))
