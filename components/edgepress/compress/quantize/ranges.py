"""Starting quantization-aware training with the activation ranges that the model has, not with guesses.

TensorFlow Model Optimization starts every activation's range at [-6, 6] and moves it by a thousandth of the way each step. A
fine-tuning of some hundred steps ends with most of the guess still in it: coarse steps for small activations, clipping for large ones.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgepress.models.keras import tf

DECAY = 0.999
"""Of the moving average in tfmot's MovingAverageQuantizer; the estimate below divides it out."""
ROUNDS = 3
"""A layer's range is measured behind the ranges of the layers before it; clipping there settles within a few rounds."""

_MOVING_RANGES = ("pre_activation", "post_activation", "output")
_OBSERVED_RANGES = ("quantize_layer",)
"""Of the model's inputs: all values seen, with nothing to divide out."""


def calibrate_ranges(model: Any, batches: Iterable[Any]) -> None:
    """Set the activation ranges of a quantization-aware model to their means over batches, and its inputs' to all that is seen there.

    Weights, statistics and their ranges stay as they are.

    With v0 the range before and v_k the moving average after k batches, the (weighted) mean range of the batches is
    (v_k - d^k v_0) / (1 - d^k).

    Args:
        model: as ``quantize_apply`` returns it.
        batches: the model's inputs, one structure of tensors a batch; read several times.
    """
    ranges = [variable for variable in model.non_trainable_weights if _is_range(variable, _MOVING_RANGES)]
    kept = [variable for variable in model.weights if not _is_range(variable, _MOVING_RANGES + _OBSERVED_RANGES)]
    values = [variable.numpy() for variable in kept]
    observe = tf.function(lambda x: model(x, training=True), reduce_retracing=True)
    for _ in range(ROUNDS):
        before = [variable.numpy().astype(np.float64) for variable in ranges]
        count = 0
        for x in batches:
            observe(x)
            count += 1
        left = DECAY**count
        for variable, start in zip(ranges, before, strict=True):
            variable.assign((variable.numpy().astype(np.float64) - left * start) / (1.0 - left))
    for variable, value in zip(kept, values, strict=True):
        variable.assign(value)


def _is_range(variable: Any, of: tuple[str, ...]) -> bool:
    name = variable.name.split(":")[0].split("/")[-1]
    return name.endswith(("_min", "_max")) and name.startswith(of)
