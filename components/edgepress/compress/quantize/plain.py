"""A trained quantization-aware model with default quantizers only, which is what ``model.h5`` can hold and the converter understands."""

from typing import Any

import numpy as np


def move_to_plain(trained: Any, plain: Any) -> None:
    """Copy weights and ranges of a trained quantization-aware model into one of the same layers with the default quantizers.

    What only preserved clusters in training is left behind. A kernel's one range becomes the same range for every channel: the
    converter folds batch normalization only into kernels that have one a channel. It multiplies the scales and leaves the stored
    integers as they are, so one grid of integers stays one.

    Args:
        trained: what was trained.
        plain: what ``quantize_apply`` gives for the same source without preservation; overwritten.
    """
    for source, target in zip(trained.layers, plain.layers, strict=True):
        if len(source.weights) == len(target.weights) and all(
            own.shape == other.shape for own, other in zip(source.weights, target.weights, strict=True)
        ):
            target.set_weights(source.get_weights())
            continue
        values = {_name(variable): variable.numpy() for variable in source.weights}
        for variable in target.weights:
            variable.assign(np.broadcast_to(values[_name(variable)], variable.shape))


def _name(variable: Any) -> str:
    return str(variable.name).split(":")[0].split("/")[-1]
