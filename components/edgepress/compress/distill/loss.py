"""The loss of knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531)."""

from collections.abc import Callable
from typing import Any

from edgepress.models.keras import keras, tf
from edgepress.tasks.observations import OutputMeaning

TeachersPart = Callable[[Any, Any], Any]
"""From the outputs of teacher and student [batch, *output shape] to how far they are apart, float32 [batch]."""


def soft_target_loss(teacher: Any, student: Any, temperature: float) -> Any:
    """T^2 * KL(teacher_T || student_T) of each example.

    Args:
        teacher, student: logits [batch, classes], float32; log-probabilities serve as well, because they differ from logits by a
            constant per example, which softmax takes away.
        temperature: T; both distributions are softmax(logits / T). T^2 keeps the gradient's size independent of T.

    Returns:
        float32 [batch].
    """
    teacher_log = tf.nn.log_softmax(teacher / temperature, axis=-1)
    student_log = tf.nn.log_softmax(student / temperature, axis=-1)
    divergence = tf.reduce_sum(tf.exp(teacher_log) * (teacher_log - student_log), axis=-1)
    return temperature**2 * divergence


class Distiller(keras.Model):
    """Trains a student against the labels and against a frozen teacher that sees the same, augmented, batch.

    loss = alpha * difference(teacher, student) + (1 - alpha) * compiled loss(targets, student), both weighted by sample.

    Args:
        student: the model to train; calling the distiller is calling it.
        teacher: run for inference only; none of its variables is trained or updated.
        difference: of their outputs.
        alpha: weight of the teacher's part, from 0 to 1.
    """

    def __init__(self, student: Any, teacher: Any, difference: TeachersPart, alpha: float) -> None:
        super().__init__(name="distiller")
        self.student = student
        self._difference = difference
        self._alpha = alpha
        # Listed after Keras's own metric of this name, which knows the labels' part only, and so what logs show.
        self._loss_tracker = keras.metrics.Mean(name="loss")
        teacher.trainable = False
        # In a closure, so that Keras does not count the teacher's variables among the distiller's.
        self._teach = lambda x: tf.stop_gradient(teacher(x, training=False))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        """The mean loss of the batch, regularisation of the student included."""
        labels_loss = super().compute_loss(x, y, y_pred, sample_weight)
        regularization = tf.add_n(self.losses) if self.losses else 0.0
        taught = self._difference(self._teach(x), y_pred)
        if sample_weight is not None:
            taught *= tf.cast(tf.reshape(sample_weight, [-1]), taught.dtype)
        loss = self._alpha * tf.reduce_mean(taught) + (1.0 - self._alpha) * (labels_loss - regularization) + regularization
        self._loss_tracker.update_state(loss)
        return loss


def log_outputs(meaning: OutputMeaning, outputs: int) -> Callable[[Any], Any]:
    """A function from a classifier's outputs [batch, outputs] to what ``soft_target_loss`` takes [batch, classes]: logits, or logarithms of
    probabilities. A single output becomes two classes: its logit beside a logit of 0, or its probability beside the rest."""

    def log(probabilities: Any) -> Any:
        return tf.math.log(tf.maximum(probabilities, keras.backend.epsilon()))

    if outputs == 1:
        if meaning == "logits":
            return lambda given: tf.concat([tf.zeros_like(given), given], axis=-1)
        return lambda given: log(tf.concat([1.0 - given, given], axis=-1))
    return (lambda given: given) if meaning == "logits" else log
