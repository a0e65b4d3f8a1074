"""How good a model is on the validation split: what is told after each epoch, and of an adopted model."""

from typing import Any

import numpy as np

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.errors import DataError, StageError
from edgepress.models.keras import keras, tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.observations import Observations
from edgepress.train.batches import validation_batches
from edgepress.train.objective import Objective


class Validation:
    """Measures one model, as it stands when called, in one pass over the validation split.

    Args:
        model: Keras.
        objective: what it is trained towards.
        dataset: whose validation split it is measured on.
        loss: from (labels, outputs) of a batch to a scalar.
        user_module: its ``preprocess`` and ``metrics`` hooks apply.

    Raises:
        ModelError: a hook of the user's module fails.
    """

    def __init__(
        self, model: keras.Model, objective: Objective, dataset: DatasetDirectory, loss: Any, user_module: UserModule | None = None
    ) -> None:
        self._objective = objective
        self._split = dataset.split("validation")
        self._labels = np.asarray(self._split.labels)
        self._batches = validation_batches(dataset, user_module)
        self._metrics = user_module.call_metrics() if user_module else []

        def run(x: Any, labels: Any) -> tuple[Any, Any]:
            outputs = model(x, training=False)
            return outputs, tf.add_n([loss(labels, outputs), *model.losses])

        self._run = tf.function(run, input_signature=self._batches.element_spec)

    def __call__(self) -> dict[str, float]:
        """``val_loss`` with regularisation, ``val_<metric>`` of the metric that selects, and of each of the user's.

        A model that gives NaN or infinity has a loss of NaN.

        Raises:
            DataError: the split cannot tell the metric that selects.
            StageError: a metric of the user's gives something else than one number.
        """
        for metric in self._metrics:
            metric.reset_state()
        collected, loss = [], 0.0
        for x, labels in self._batches:
            outputs, batch_loss = self._run(x, labels)
            collected.append(outputs.numpy())
            loss += float(batch_loss) * len(collected[-1])
            for metric in self._metrics:
                # As Keras gives them in training.
                metric.update_state(labels[:, tf.newaxis] if labels.shape.rank == 1 and outputs.shape.rank == 2 else labels, outputs)
        outputs = np.concatenate(collected).astype(np.float32, copy=False)
        if not np.isfinite(outputs).all():
            return {"val_loss": float("nan")}
        task = self._objective.task
        selecting = task.selecting
        assert selecting.measure is not None
        measured = selecting.measure(Observations(self._labels, outputs, self._objective.meaning, self._split.inputs))
        if measured is None:
            raise DataError(
                f"the validation split cannot tell the {selecting.title}, by which {task.name} selects: "
                f"it has examples of one kind only; choose another split"
            )
        values = {"val_loss": loss / len(self._labels), f"val_{selecting.name}": measured}
        for metric in self._metrics:
            name = f"val_{metric.name}"
            values.setdefault(name, single_number(name, metric.result()))
        return values


def single_number(name: str, value: Any) -> float:
    """A metric's value.

    Raises:
        StageError: it is not one number.
    """
    array = np.asarray(value)
    if array.size != 1:
        raise StageError(f"metric {name} gives shape {list(array.shape)}; metrics() of the module must give metrics of one number each")
    return float(array.reshape(()))
