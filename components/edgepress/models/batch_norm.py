"""Batch normalization of the built-in architectures (Ioffe, Szegedy 2015, arXiv:1502.03167)."""

from typing import Any

from edgepress.models.keras import keras

MOMENTUM = 0.9
"""Keras' default of 0.99 remembers the initial statistics for hundreds of steps, so that a short training validates far below what it
learned: ResNet-8 after 200 steps on Fashion-MNIST had 71 % training and 18 % validation accuracy."""


def batch_norm(x: Any, name: str, momentum: float = MOMENTUM) -> Any:
    """Normalize the output of a layer [batch, ..., channels]; quantization-aware training folds it into a convolution before it."""
    return keras.layers.BatchNormalization(momentum=momentum, name=name)(x)
