"""The one fine-tuning loop: the baseline's training and every later stage that trains use it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.run import CODE_DIGEST_VARIABLE
from edgepress.contracts.training import TrainSettings
from edgepress.errors import IntegrityError
from edgepress.models.keras import keras, set_seed, tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.metric import Metric
from edgepress.train.batches import steps_per_epoch, train_batches
from edgepress.train.checkpoint import Checkpoint, TrainingState, training_key
from edgepress.train.epoch_end import EpochEnd, best_index, stops_early
from edgepress.train.objective import Objective
from edgepress.train.validation import Validation

__all__ = ["FitResult", "fit", "steps_per_epoch"]


@dataclass(frozen=True)
class FitResult:
    """What a training did.

    Attributes:
        curves: per-epoch values: loss, val_loss, ``val_<metric>`` of the metric that selects, the same without ``val_`` where batches of
            training can tell it, learning_rate (of the epoch's last step), and the user's metrics.
        epochs_run: finished epochs, those before a resumption included.
        best_epoch: number, from 1 as in the log, of the epoch that was kept: the best on validation data among those that count.
        steps: optimizer steps in all.
        selecting: the metric that selects.
    """

    curves: dict[str, tuple[float, ...]]
    epochs_run: int
    best_epoch: int
    steps: int
    selecting: Metric

    @property
    def val_selected(self) -> float:
        """The metric that selects, on validation data, of the epoch that was kept."""
        return self.curves[f"val_{self.selecting.name}"][self.best_epoch - 1]

    @property
    def facts(self) -> dict[str, JsonValue]:
        """``epochs_run``, ``best_epoch`` and ``val_<metric>``, for the record of whoever trained."""
        return {"epochs_run": self.epochs_run, "best_epoch": self.best_epoch, f"val_{self.selecting.name}": self.val_selected}


def fit(
    model: keras.Model,
    dataset: DatasetDirectory,
    settings: TrainSettings,
    *,
    user_module: UserModule | None = None,
    loss: Callable[[Any, Any], Any] | None = None,
    train_step_model: keras.Model | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    counts_from_epoch: int = 0,
    state: str = "",
    started_from: str = "",
    log_dir: Path | None = None,
) -> FitResult:
    """Train a model in place on the training split; the validation split selects the epoch that is kept.

    Killed and called again with the same arguments, it goes on after its last finished epoch with all variables of the model and the
    optimizer as they were, the same order of examples and the same built-in augmentation. The result then differs from an uninterrupted one
    only as two uninterrupted ones do (threads add up in any order), except that what draws random numbers of its own, Dropout or the
    module's ``augment``, draws others. Called again after its last epoch, it trains nothing and gives the same model.

    Args:
        model: what is kept, and what is validated after each epoch.
        dataset: with splits ``train`` and ``validation``.
        settings: of the loop.
        user_module: its ``loss``, ``metrics``, ``augment`` and ``preprocess`` hooks apply.
        loss: takes (targets, outputs) of a batch; None takes the user's, else the task's that fits the kind of outputs.
        train_step_model: a model that shares variables with ``model`` and brings its own ``train_step`` (a distiller); it is compiled
            and fitted in its place. Its logs need ``loss``.
        callbacks: a stage's own.
        counts_from_epoch: the kept epoch is chosen from this one (from 0) on, and early stopping counts from it; within ``epochs``.
        state: folder or ``s3://bucket/prefix`` for the state after each epoch; empty keeps none.
        started_from: digest of whatever else determines the training: initial weights, the user's hooks, a stage's own settings. A
            state of other settings, data, architecture, origin or code (where the engine tells its digest) is not taken.
        log_dir: for TensorBoard.

    Raises:
        StageError: the loss or a metric turned NaN or infinite, or a metric gives more than one number.
        ConfigError: ``augment`` or ``class_weights`` does not suit the dataset.
        DataError: the training split holds what the task does not train on, or the validation split cannot tell the metric that selects.
        ModelError: a hook of the user's module fails.
        IntegrityError: the state is damaged.
        StorageError: the state cannot be read.
    """
    assert 0 <= counts_from_epoch < settings.epochs
    set_seed(settings.seed)
    steps = steps_per_epoch(dataset.manifest.counts["train"], settings.batch_size)
    objective = Objective.of(model, dataset.manifest)
    selects = objective.task.selecting
    minimised = objective.loss(loss or objective.loss_of(user_module))
    stepped = train_step_model or model
    optimizer = build_optimizer(settings, total_steps=steps * settings.epochs)
    metrics = [*objective.metrics(), *(user_module.call_metrics() if user_module else [])]
    # One step an execution: several would save 2 ms a step and cost 0.8 s of tracing, and callbacks would not see each.
    stepped.compile(optimizer=optimizer, loss=minimised, metrics=metrics)
    optimizer.build(stepped.trainable_variables)
    tracked = _tracked_variables(model, stepped)
    checkpoint = Checkpoint(
        state,
        training_key(
            os.environ.get(CODE_DIGEST_VARIABLE, ""),
            settings.model_dump_json(),
            dataset.manifest.digest,
            model.to_json(),
            type(stepped).__name__,
            str(counts_from_epoch),
            started_from,
        ),
    )
    current = TrainingState()
    if (saved := checkpoint.load()) is not None:
        current = saved
        _restore(current, tracked, optimizer)
        print(f"going on after epoch {len(current.curves['loss'])}", flush=True)
    first_epoch = len(current.curves.get("loss", ()))
    selecting = f"val_{selects.name}"
    if first_epoch < settings.epochs and not stops_early(current.curves.get(selecting, []), selects, settings, counts_from_epoch):
        stepped.fit(
            train_batches(dataset, settings, user_module, first_epoch),
            epochs=settings.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=[
                *callbacks,
                EpochEnd(
                    state=current,
                    settings=settings,
                    kept_model=model,
                    tracked=tracked,
                    validate=Validation(model, objective, dataset, minimised, user_module),
                    selecting=selects,
                    counts_from_epoch=counts_from_epoch,
                    checkpoint=checkpoint,
                    log_dir=log_dir,
                ),
            ],
        )
    best = best_index(current.curves[selecting], selects, counts_from_epoch)
    assert best is not None, "early stopping waits for an epoch that counts"
    model.set_weights(current.best)
    epochs_run = len(current.curves["loss"])
    return FitResult(
        curves={name: tuple(values) for name, values in current.curves.items()},
        epochs_run=epochs_run,
        best_epoch=best + 1,
        steps=epochs_run * steps,
        selecting=selects,
    )


def build_optimizer(settings: TrainSettings, total_steps: int) -> keras.optimizers.Optimizer:
    """Adam (Kingma, Ba 2015, arXiv:1412.6980), with decoupled weight decay (Loshchilov, Hutter 2019, arXiv:1711.05101) of kernels when
    ``weight_decay`` is set. ``cosine`` decays the learning rate to zero over ``total_steps``."""
    rate: Any = settings.learning_rate
    if settings.learning_rate_schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, decay_steps=total_steps)
    if settings.weight_decay == 0.0:
        return keras.optimizers.Adam(rate, jit_compile=False)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, jit_compile=False)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _tracked_variables(model: keras.Model, stepped: keras.Model) -> list[Any]:
    """All variables that training changes, each once: the kept model's, and what the wrapper trains besides."""
    return list({id(variable): variable for variable in (*model.weights, *stepped.trainable_variables)}.values())


def _restore(state: TrainingState, tracked: list[Any], optimizer: Any) -> None:
    for variables, values in ((tracked, state.weights), (optimizer.variables, state.optimizer)):
        if len(variables) != len(values):
            raise IntegrityError(f"the training state holds {len(values)} variables, but the model has {len(variables)}; delete the state")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
