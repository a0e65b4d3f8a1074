"""Small real datasets and baselines: handwritten digits of 8x8 pixels and nets that learn them in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from edgepress.contracts.candidate import BASELINE, MODULE_NAME, CandidateRecord, write_candidate
from edgepress.contracts.dataset import DatasetDescription, DatasetDirectory, DatasetManifest, InputSpec, SplitName, open_dataset
from edgepress.contracts.json_file import write_json
from edgepress.contracts.training import TrainSettings
from edgepress.device.digest import digest_tree
from edgepress.models.keras import keras, set_seed
from edgepress.models.storage import save_model
from edgepress.models.user_module import load_user_module
from edgepress.tasks.anomaly_detection import NORMAL
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import TaskName
from edgepress.train.fit import fit

COUNTS: dict[SplitName, int] = {"train": 640, "validation": 200, "test": 200}


def write_digits(path: Path) -> DatasetDirectory:
    """Digits as images [8, 8, 1] in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    return write_dataset(path, {"image": (images / 16.0).reshape(-1, 8, 8, 1).astype(np.float32)}, labels)


def write_dataset(path: Path, inputs: dict[str, NDArray[Any]], labels: NDArray[Any], task: TaskName = "classification") -> DatasetDirectory:
    """The first examples of the arrays, split by ``COUNTS``; for anomaly detection the first normal ones are the training split."""
    order = np.arange(len(labels))
    if task == "anomaly_detection":
        train = np.flatnonzero(labels == NORMAL)[: COUNTS["train"]]
        order = np.concatenate([train, np.setdiff1d(order, train)])
    start = 0
    for name, count in COUNTS.items():
        chosen = order[start : start + count]
        start += count
        (path / name / "inputs").mkdir(parents=True)
        for key, array in inputs.items():
            np.save(path / name / "inputs" / f"{key}.npy", array[chosen])
        np.save(path / name / "labels.npy", labels[chosen].astype(TASKS[task].label_dtype))
    outputs = labels.shape[1] if task == "regression" else int(labels.max()) + 1
    manifest = DatasetManifest(
        **dict(describe(specs_of(inputs), outputs, task)) | {"counts": COUNTS},
        digest=digest_tree(path),
        split_digests={name: digest_tree(path / name) for name in COUNTS},
    )
    write_json(path / "dataset.json", manifest)
    return open_dataset(path)


def specs_of(inputs: dict[str, NDArray[Any]]) -> tuple[InputSpec, ...]:
    """What a dataset says of arrays [n, *shape]."""
    return tuple(InputSpec(name=key, shape=array.shape[1:], dtype=array.dtype.name) for key, array in inputs.items())


def describe(inputs: tuple[InputSpec, ...], outputs: int, task: TaskName = "classification") -> DatasetDescription:
    """A dataset without data, of so many classes or targets."""
    labels = tuple(str(number) for number in range(outputs))
    return DatasetDescription(name="tiny", task=task, inputs=inputs, labels=labels, slice_columns=(), counts={})


def convolutional(probabilities: bool = False) -> keras.Model:
    """Conv2D, depthwise and pointwise convolutions with batch normalization, and a Dense layer."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for name, layer in (
        ("stem", layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")),
        ("depthwise", layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")),
        ("pointwise", layers.Conv2D(32, 1, use_bias=False, name="pointwise")),
    ):
        x = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn", momentum=0.9)(layer(x)))
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(name="pool")(x))
    x = layers.Dense(10, activation="softmax" if probabilities else None, name="head")(x)
    return keras.Model(image, x, name="convolutional")


def dense() -> keras.Model:
    """Two Dense layers."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Dense(32, activation="relu", name="hidden")(layers.Flatten(name="flat")(image))
    return keras.Model(image, layers.Dense(10, name="head")(x), name="dense")


def write_baseline(path: Path, dataset: DatasetDirectory, build: Callable[[], keras.Model], module: str = "", epochs: int = 8) -> Path:
    """Train a model and write it as the baseline's candidate directory; ``epochs`` 0 leaves it untrained."""
    path.mkdir(parents=True)
    if module:
        (path / MODULE_NAME).write_text(module)
    set_seed(0)
    model = build()
    if epochs:
        settings = TrainSettings(epochs=epochs, batch_size=32, learning_rate=5e-3)
        fit(model, dataset, settings, user_module=load_user_module(path / MODULE_NAME))
    save_model(model, path)
    write_candidate(path, CandidateRecord(recipe=BASELINE, dataset_digest=dataset.manifest.digest))
    return path
