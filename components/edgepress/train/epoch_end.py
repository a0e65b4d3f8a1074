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
from edgepress.tasks.metric import Metric
from edgepress.train.checkpoint import Checkpoint, TrainingState
from edgepress.train.validation import single_number

DATA_CLASS_SCALAR = 1
"""``DataClass`` in tensorflow/core/framework/summary.proto."""


class EpochEnd(keras.callbacks.Callback):
    """Keeps ``state`` up to date. Runs after a stage's own callbacks, so that it sees the weights they leave (pruning masks them).

    ``validate`` gives val_loss, ``val_<metric>`` of the metric that selects and the user's metrics, of the model as it stands. Epochs
    before ``counts_from_epoch`` are neither kept nor counted by early stopping.
    """

    def __init__(
        self,
        *,
        state: TrainingState,
        settings: TrainSettings,
        kept_model: keras.Model,
        tracked: list[Any],
        validate: Callable[[], dict[str, float]],
        selecting: Metric,
        counts_from_epoch: int,
        checkpoint: Checkpoint,
        log_dir: Path | None,
    ) -> None:
        super().__init__()
        self._state = state
        self._settings = settings
        self._kept_model = kept_model
        self._tracked = tracked
        self._validate = validate
        self._selecting = selecting
        self._counts_from_epoch = counts_from_epoch
        self._checkpoint = checkpoint
        self._writer = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 (Keras calls it so)
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch.

        Raises:
            StageError: a loss or a metric is NaN or infinite, or a metric gives more than one number.
        """
        values = {name: single_number(name, value) for name, value in (logs or {}).items() if not name.startswith("val_")}
        values |= self._validate()
        values["learning_rate"] = current_learning_rate(self.model.optimizer)
        for name in ("loss", "val_loss"):
            if not math.isfinite(values[name]):
                raise StageError(
                    f"training diverged: {name} is {values[name]} after epoch {epoch + 1}; "
                    f"lower train.learning_rate (now {self._settings.learning_rate:g})"
                )
        for name, value in values.items():
            if not math.isfinite(value):
                raise StageError(f"metric {name} is {value} after epoch {epoch + 1}; make metrics() of the module give a finite number")
        for name, value in values.items():
            self._state.curves.setdefault(name, []).append(value)
        selecting = self._state.curves[f"val_{self._selecting.name}"]
        if best_index(selecting, self._selecting, self._counts_from_epoch) == epoch:
            self._state.best = self._kept_model.get_weights()
        self._state.weights = [np.asarray(variable) for variable in self._tracked]
        self._state.optimizer = [np.asarray(variable) for variable in self.model.optimizer.variables]
        self._checkpoint.save(self._state)
        self._log(epoch, values)
        self._report(epoch, values)
        if stops_early(selecting, self._selecting, self._settings, self._counts_from_epoch):
            patience = self._settings.early_stopping_patience
            print(f"no better validation {self._selecting.title} for {patience} epochs; stopping", flush=True)
            self.model.stop_training = True

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


def best_index(values: list[float], metric: Metric, counts_from_epoch: int = 0) -> int | None:
    """Index of the first epoch with the best value of a metric among those that count; None before the first of them has ended."""
    counting = values[counts_from_epoch:]
    if not counting:
        return None
    return counts_from_epoch + int(np.argmax(counting) if metric.direction == "higher" else np.argmin(counting))


def stops_early(values: list[float], metric: Metric, settings: TrainSettings, counts_from_epoch: int = 0) -> bool:
    """Whether as many epochs as the settings' patience have followed the best one."""
    best, patience = best_index(values, metric, counts_from_epoch), settings.early_stopping_patience
    return best is not None and patience is not None and len(values) - 1 - best >= patience


def current_learning_rate(optimizer: Any) -> float:
    """The rate of the optimizer's latest step."""
    return float(np.asarray(optimizer.learning_rate))
