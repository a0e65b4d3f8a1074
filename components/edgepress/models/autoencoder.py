"""The dense autoencoder of MLPerf Tiny's anomaly detection (Koizumi et al. 2020, arXiv:2006.05822; Banbury et al. 2021,
arXiv:2106.07597)."""

from typing import Any

import numpy as np

from edgepress.contracts.builtin_models import AutoencoderParams
from edgepress.contracts.dataset import InputSpec
from edgepress.models.batch_norm import batch_norm
from edgepress.models.keras import keras


def build_autoencoder(spec: InputSpec, params: AutoencoderParams) -> keras.Model:
    """An encoder of dense layers with ReLU down to ``bottleneck`` units, and its mirror image up to the input's size; outputs a
    reconstruction [batch, *input shape].

    For 640 values, with batch normalization: 269,992 parameters.
    """
    layers = keras.layers
    given = keras.Input(shape=spec.shape, name=spec.name)
    x = given if len(spec.shape) == 1 else layers.Flatten(name="flat")(given)
    for index, units in enumerate(params.hidden):
        x = _dense(x, units, params.batch_norm, name=f"encoder_{index}")
    x = _dense(x, params.bottleneck, params.batch_norm, name="bottleneck")
    for index, units in enumerate(reversed(params.hidden)):
        x = _dense(x, units, params.batch_norm, name=f"decoder_{index}")
    size = int(np.prod(spec.shape))
    x = layers.Dense(size, name="reconstruction" if len(spec.shape) == 1 else "values")(x)
    if len(spec.shape) != 1:
        x = layers.Reshape(spec.shape, name="reconstruction")(x)
    return keras.Model(given, x, name="autoencoder")


def _dense(x: Any, units: int, normalized: bool, name: str) -> Any:
    layers = keras.layers
    if not normalized:
        return layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=name)(x)
    x = layers.Dense(units, kernel_initializer="he_normal", name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(batch_norm(x, name=f"{name}_bn"))
