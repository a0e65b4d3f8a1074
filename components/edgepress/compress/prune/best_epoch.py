"""Choosing among the epochs that count: earlier ones look better only because less is pruned."""

from collections.abc import Callable
from typing import Any

from edgepress.compress.prune.schedule import PruningSteps
from edgepress.models.keras import keras


class BestAtFinalSparsity(keras.callbacks.Callback):
    """Remembers the weights of the best validation accuracy among epochs that end at the final sparsity.

    Stands after ``UpdatePruningStep`` in the list of callbacks, which masks the weights at the end of an epoch.

    Args:
        steps: when masks are updated.
        steps_per_epoch: training steps in an epoch.
        patience: epochs at the final sparsity without a better accuracy before training stops; None never stops early.
        val_accuracy: measures the model as it stands.
    """

    def __init__(self, steps: PruningSteps, steps_per_epoch: int, patience: int | None, val_accuracy: Callable[[], float]) -> None:
        super().__init__()
        self._steps = steps
        self._steps_per_epoch = steps_per_epoch
        self._patience = patience
        self._measure = val_accuracy
        self._weights: list[Any] | None = None
        self.epoch = -1
        self.val_accuracy = -1.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - Keras passes it
        """Measure and compare, once the final sparsity is reached."""
        if not self._steps.reached_by(epoch, self._steps_per_epoch):
            return
        accuracy = self._measure()
        if accuracy > self.val_accuracy:
            self.val_accuracy, self.epoch, self._weights = accuracy, epoch, self.model.get_weights()
        elif self._patience is not None and epoch - self.epoch >= self._patience:
            self.model.stop_training = True

    def restore(self) -> None:
        """Put the remembered weights back into the model."""
        assert self._weights is not None, "the last epoch always ends at the final sparsity"
        self.model.set_weights(self._weights)
