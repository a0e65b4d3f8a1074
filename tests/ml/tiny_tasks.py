"""A small dataset for each kind of learning task, and a net for it."""

from pathlib import Path

import numpy as np

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.models.keras import keras
from tests.ml.tiny_candidates import COUNTS, write_dataset

EXAMPLES = sum(COUNTS.values())


def write_regression(path: Path) -> DatasetDirectory:
    """Two targets that follow from four numbers, far from zero and of different size."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(EXAMPLES, 4)).astype(np.float32)
    y = np.stack([3.0 + x[:, 0] - x[:, 1], np.maximum(x[:, 2], 0.0)], axis=1)
    return write_dataset(path, {"x": x}, y, "regression")


def write_anomalies(path: Path) -> DatasetDirectory:
    """Normal examples lie in a plane of eight dimensions; a tenth of all lies anywhere."""
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(2, 8))
    labels = np.arange(EXAMPLES) % 10 == 9
    x = np.where(labels[:, None], generator.normal(size=(EXAMPLES, 8)) * 1.5, generator.normal(size=(EXAMPLES, 2)) @ plane)
    return write_dataset(path, {"x": x.astype(np.float32)}, labels.astype(np.int64), "anomaly_detection")


def write_two_classes(path: Path) -> DatasetDirectory:
    """Two classes on the two sides of a plane, one three times as frequent as the other."""
    x = np.random.default_rng(0).normal(size=(EXAMPLES, 4)).astype(np.float32)
    return write_dataset(path, {"x": x}, (x[:, 0] + x[:, 1] > 0.95).astype(np.int64))


def regressor() -> keras.Model:
    """Gives two values."""
    return _dense(4, 2)


def autoencoder() -> keras.Model:
    """Gives what it is given, through two units."""
    x = keras.Input((8,), name="x")
    middle = keras.layers.Dense(2, name="middle")(keras.layers.Dense(16, activation="relu", name="hidden")(x))
    wide = keras.layers.Dense(16, activation="relu", name="wide")(middle)
    return keras.Model(x, keras.layers.Dense(8, name="reconstruction")(wide), name="autoencoder")


def one_logit() -> keras.Model:
    """Gives one logit for two classes."""
    return _dense(4, 1)


def one_probability() -> keras.Model:
    """Gives the second class's probability."""
    return _dense(4, 1, "sigmoid")


def _dense(inputs: int, outputs: int, activation: str | None = None) -> keras.Model:
    x = keras.Input((inputs,), name="x")
    hidden = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(x, keras.layers.Dense(outputs, activation=activation, name="head")(hidden), name="dense")
