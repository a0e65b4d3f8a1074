"""Batches of a dataset directory as ``tf.data``: shuffled and augmented for training, in order for validation.

The order and the built-in augmentation of epoch e follow from (seed, e) alone, so that a resumed training sees what it would have seen.
A module's ``augment`` sees the same batches. What it draws itself, with ``tf.random.normal`` say, is the same in two trainings that run
through, but not after a resumption: TensorFlow's stateful generators count from the start of the process.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import DatasetDirectory, DatasetManifest, Split
from edgepress.contracts.training import TrainSettings
from edgepress.errors import ConfigError, DataError, ModelError
from edgepress.models.keras import tf
from edgepress.models.user_module import UserModule, first_line
from edgepress.train.augment import augment_images

VALIDATION_BATCH_SIZE = 256
IN_MEMORY_LIMIT_BYTES = 1 << 30
"""Inputs up to this size are read into memory, where a batch is gathered fastest; larger ones are gathered from the mapped files."""


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Whole batches in one pass. An epoch leaves out the remainder of its shuffled order; less than a batch is one step."""
    return max(1, examples // batch_size)


def train_batches(dataset: DatasetDirectory, settings: TrainSettings, user_module: UserModule | None, first_epoch: int = 0) -> Any:
    """Batches of the training split from ``first_epoch`` to the last, ``steps_per_epoch`` of them an epoch.

    Elements are (x, targets), or (x, labels, weights float32 [batch]) with balanced class weights. x is a tensor [batch, *shape] of the
    dataset's dtype, or a dict of them by input name where the dataset has several. Targets are the labels [batch, *label shape], or for a
    task that reconstructs its input that input, augmented but not preprocessed, in float32.

    Raises:
        ConfigError: ``train.augment`` does not suit the inputs, or ``train.class_weights`` the task.
        DataError: the split holds examples that its task does not train on.
        ModelError: a hook of the user's module fails.
    """
    split = dataset.split("train")
    _check_labels(dataset.manifest, split)
    examples = len(split)
    batch_size = min(settings.batch_size, examples)
    used = steps_per_epoch(examples, settings.batch_size) * batch_size
    _check_settings(dataset.manifest, settings)
    gather = _gatherer(split)
    class_weights = balanced_class_weights(split.labels, len(dataset.manifest.labels)) if settings.class_weights == "balanced" else None

    def epoch_batches(epoch: Any) -> Any:
        order = tf.argsort(tf.random.stateless_uniform([examples], _seed(settings.seed, epoch)))[:used]
        steps = tf.data.Dataset.from_tensor_slices(tf.reshape(order, [-1, batch_size]))
        return steps.enumerate().map(lambda step, indices: (epoch, step, indices))

    def load(epoch: Any, step: Any, indices: Any) -> Any:
        x, y = gather(indices)
        if settings.augment != "none":
            seed = _seed(settings.seed, epoch) * 65537 + tf.cast(step, tf.int32) + 1
            x = tf.nest.map_structure(lambda image: augment_images(image, seed, settings.augment), x)
        return x, y

    def weigh(x: Any, y: Any) -> Any:
        return x, y, tf.gather(tf.constant(class_weights), y)

    epochs = tf.data.Dataset.range(first_epoch, settings.epochs, output_type=tf.int32)
    batches = epochs.flat_map(epoch_batches).map(load, num_parallel_calls=1, deterministic=True)
    if user_module is not None and user_module.augment is not None:
        with user_module.explaining("augment"):
            batches = batches.map(user_module.augment, num_parallel_calls=1, deterministic=True)
        if not isinstance(batches.element_spec, tuple) or len(batches.element_spec) != 2:
            raise ModelError(f"{user_module.shown_as}:{first_line(user_module.augment)}: augment must return (x, y)")
    batches = _preprocessed(_with_targets(batches, dataset.manifest), user_module)
    return (batches if class_weights is None else batches.map(weigh)).prefetch(4)


def validation_batches(dataset: DatasetDirectory, user_module: UserModule | None) -> Any:
    """Batches (x, targets) of the validation split, in order, the last one smaller.

    Raises:
        ModelError: the ``preprocess`` hook of the user's module fails.
    """
    split = dataset.split("validation")
    gather = _gatherer(split)
    indices = tf.data.Dataset.range(len(split)).batch(VALIDATION_BATCH_SIZE)

    batches = _with_targets(indices.map(gather, num_parallel_calls=1, deterministic=True), dataset.manifest)
    return _preprocessed(batches, user_module).prefetch(2)


def balanced_class_weights(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """examples / (classes present * examples of the class), float32 [num_classes]; the mean over examples is 1. Absent classes get 0."""
    counts = np.bincount(labels, minlength=num_classes)
    present = np.count_nonzero(counts)
    weights = np.zeros(num_classes, np.float32)
    weights[counts > 0] = len(labels) / (present * counts[counts > 0])
    return weights


def _with_targets(batches: Any, manifest: DatasetManifest) -> Any:
    """Batches (x, labels) with what the model's outputs are held against in place of the labels."""
    if manifest.learning_task.loss != "reconstruction_error":
        return batches
    return batches.map(lambda x, _: (x, tf.cast(x, tf.float32)), num_parallel_calls=1, deterministic=True)


def _preprocessed(batches: Any, user_module: UserModule | None) -> Any:
    """Batches (x, targets) with x as the user's ``preprocess`` gives it."""
    if user_module is None or user_module.preprocess is None:
        return batches
    preprocess = tf.function(user_module.preprocess)
    with user_module.explaining("preprocess"):
        return batches.map(lambda x, y: (preprocess(x), y), num_parallel_calls=1, deterministic=True)


def _seed(seed: int, epoch: Any) -> Any:
    return tf.stack([tf.constant(seed % 2**31, tf.int32), tf.cast(epoch, tf.int32)])


def _check_settings(manifest: DatasetManifest, settings: TrainSettings) -> None:
    if settings.class_weights != "none" and manifest.learning_task.loss != "cross_entropy":
        raise ConfigError(f"train.class_weights: {settings.class_weights} is for classes, but the task is {manifest.task}; set it to none")
    if settings.augment == "none":
        return
    for spec in manifest.inputs:
        if len(spec.shape) != 3:
            raise ConfigError(
                f"train.augment: {settings.augment} moves images [height, width, channels], but the dataset's input {spec.name} has shape "
                f"{list(spec.shape)}; set it to none"
            )


def _check_labels(manifest: DatasetManifest, split: Split) -> None:
    allowed = manifest.learning_task.trains_on
    if allowed is not None and not np.isin(split.labels, allowed).all():
        names = ", ".join(manifest.labels[label] for label in allowed)
        raise DataError(f"the training split holds other examples than {names}, which alone {manifest.task} trains on; run ingest again")


def _gatherer(split: Split) -> Any:
    """A function from indices [batch] to (x, labels [batch, *label shape])."""
    labels = tf.constant(np.asarray(split.labels))
    names = list(split.inputs)
    if sum(array.nbytes for array in split.inputs.values()) <= IN_MEMORY_LIMIT_BYTES:
        tensors: Mapping[str, Any] = {name: tf.constant(np.asarray(array)) for name, array in split.inputs.items()}

        def gather_inputs(indices: Any) -> list[Any]:
            return [tf.gather(tensors[name], indices) for name in names]
    else:

        def gather_inputs(indices: Any) -> list[Any]:
            gathered = []
            for name in names:
                array = split.inputs[name]
                batch = tf.numpy_function(lambda chosen, array=array: np.asarray(array[chosen]), [indices], array.dtype, stateful=False)
                gathered.append(tf.ensure_shape(batch, (indices.shape[0], *array.shape[1:])))
            return gathered

    def gather(indices: Any) -> tuple[Any, Any]:
        inputs = gather_inputs(indices)
        return (inputs[0] if len(names) == 1 else dict(zip(names, inputs, strict=True))), tf.gather(labels, indices)

    return gather
