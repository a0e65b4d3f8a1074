"""What happens after each epoch: validate, refuse a diverged training, keep the best, checkpoint, log, report, stop early."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.contracts.training import TrainSettings
from edgepress.errors import StageError
from edgepress.models.keras import keras, tf
from edgepress.train.checkpoint import TrainingState, save_state

DATA_CLASS_SCALAR = 1
"""``DataClass`` in tensorflow/core/framework/summary.proto."""


class EpochEnd(keras.callbacks.Callback):
    """Keeps ``state`` up to date. Runs after a stage's own callbacks, so that it sees the weights they leave (pruning masks them).

    ``validate`` gives val_loss, val_accuracy and the user's metrics of the model as it stands.
    """

    def __init__(
        self,
        *,
        state: TrainingState,
        settings: TrainSettings,
        kept_model: keras.Model,
        tracked: list[Any],
        validate: Callable[[], dict[str, float]],
        keep_best: bool,
        checkpoint_dir: Path | None,
        log_dir: Path | None,
    ) -> None:
        super().__init__()
        self._state = state
        self._settings = settings
        self._kept_model = kept_model
        self._tracked = tracked
        self._validate = validate
        self._keep_best = keep_best
        self._checkpoint_dir = checkpoint_dir
        self._writer = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 (Keras calls it so)
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch.

        Raises:
            StageError: a loss is NaN or infinite.
        """
        values = {name: float(value) for name, value in (logs or {}).items() if not name.startswith("val_")}
        values |= self._validate()
        values["learning_rate"] = current_learning_rate(self.model.optimizer)
        for name in ("loss", "val_loss"):
            if not math.isfinite(values[name]):
                raise StageError(
                    f"training diverged: {name} is {values[name]} after epoch {epoch + 1}; "
                    f"lower train.learning_rate (now {self._settings.learning_rate:g})"
                )
        for name, value in values.items():
            self._state.curves.setdefault(name, []).append(value)
        accuracies = self._state.curves["val_accuracy"]
        best = best_epoch(accuracies)
        if self._keep_best and best == epoch:
            self._state.best = self._kept_model.get_weights()
        self._checkpoint()
        self._log(epoch, values)
        self._report(epoch, values)
        patience = self._settings.early_stopping_patience
        if patience is not None and epoch - best >= patience:
            print(f"no better validation accuracy for {patience} epochs; stopping", flush=True)
            self.model.stop_training = True

    def _checkpoint(self) -> None:
        if self._checkpoint_dir is not None:
            self._state.weights = [np.asarray(variable) for variable in self._tracked]
            self._state.optimizer = [np.asarray(variable) for variable in self.model.optimizer.variables]
            save_state(self._checkpoint_dir, self._state)

    def _log(self, epoch: int, values: dict[str, float]) -> None:
        if self._writer is not None:
            with self._writer.as_default():
                for name, value in values.items():
                    tf.summary.write(name, tf.constant(value, tf.float32), step=epoch, metadata=_scalar_metadata())
            self._writer.flush()

    def _report(self, epoch: int, values: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(f"epoch {epoch + 1}/{self._settings.epochs}  {shown}  {time.perf_counter() - self._started:.1f} s", flush=True)


def _scalar_metadata() -> Any:
    """What marks a value as a curve for TensorBoard; ``tf.summary.scalar`` itself needs TensorBoard installed, the writer does not."""
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    return tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)


def best_epoch(val_accuracies: list[float]) -> int:
    """Index of the first epoch with the highest validation accuracy."""
    return int(np.argmax(val_accuracies))


def current_learning_rate(optimizer: Any) -> float:
    """The rate of the optimizer's latest step."""
    return float(np.asarray(optimizer.learning_rate))
