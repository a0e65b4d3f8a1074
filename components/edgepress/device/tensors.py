"""A model's inputs and outputs: their names, shapes and types, and the step between real and stored numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import ModelError


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: in the signature; of an output, what it means (``logits``, ``values``, …).
        shape: without the batch axis.
        dtype: as stored, e.g. ``int8``.
        scale, zero_point: real = scale * (stored - zero_point); ``scale`` is None for a tensor that is not quantized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float | None = None
    zero_point: int = 0


def fit_inputs(specs: tuple[TensorSpec, ...], inputs: Mapping[str, NDArray[Any]], source: str) -> tuple[NDArray[Any], ...]:
    """Examples in the types that a model stores.

    Args:
        specs: the model's inputs.
        inputs: name -> array [n, *shape] of real numbers. A model of one input takes the only array, whatever its name.
        source: what to call the model in errors.

    Returns:
        One contiguous array [n, *shape] for each of ``specs``, quantized where the input has a scale.

    Raises:
        ModelError: names, shapes, types or the range of integers are not the model's.
    """
    named = {specs[0].name: next(iter(inputs.values()))} if len(inputs) == len(specs) == 1 else inputs
    if set(named) != {spec.name for spec in specs}:
        wanted = ", ".join(sorted(spec.name for spec in specs))
        raise ModelError(f"{source}: takes the inputs {wanted}, but the dataset has {', '.join(sorted(named))}; rename one side")
    return tuple(_fit_input(spec, named[spec.name], source) for spec in specs)


def _fit_input(spec: TensorSpec, array: NDArray[Any], source: str) -> NDArray[Any]:
    if array.shape[1:] != spec.shape:
        raise ModelError(
            f"{source}: input {spec.name} has shape {list(spec.shape)}, "
            f"but the dataset's examples have {list(array.shape[1:])}; train the model on this dataset"
        )
    if spec.scale is not None and np.can_cast(array.dtype, np.float32, casting="same_kind"):
        return quantize(array, spec)
    is_whole = array.dtype.kind in "iu" and spec.dtype.kind in "iu"
    if not is_whole and not np.can_cast(array.dtype, spec.dtype, casting="same_kind"):
        raise ModelError(f"{source}: input {spec.name} is {spec.dtype}, but the dataset's examples are {array.dtype}")
    fitted = np.ascontiguousarray(array, spec.dtype)
    if is_whole and fitted.dtype != array.dtype and not np.array_equal(fitted, array):  # casting wraps what does not fit
        raise ModelError(
            f"{source}: input {spec.name} is {spec.dtype}, but the dataset's examples reach from {array.min()} to {array.max()}"
        )
    return fitted


def quantize(real: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """stored = clip(round(real / scale) + zero_point), halves to even, in float32, as LiteRT's QUANTIZE operator does.

    Formula: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.

    Args:
        real: finite, any shape.
        spec: of a quantized tensor.
    """
    limits = np.iinfo(spec.dtype.name)
    stored = np.rint(real.astype(np.float32) / np.float32(spec.scale)) + spec.zero_point
    return np.clip(stored, limits.min, limits.max).astype(spec.dtype)


def dequantize(stored: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    """real = scale * (stored - zero_point) in float32; a tensor that is not quantized is only cast."""
    if spec.scale is None:
        return stored.astype(np.float32)
    return np.float32(spec.scale) * (stored.astype(np.int32) - spec.zero_point).astype(np.float32)
