"""Reading weights back: how sparse and how clustered a Keras model's kernels really are."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.models.keras import keras

QUANTIZED_PREFIX = "quant_"


def leaf_layers(model: Any) -> Iterator[Any]:
    """Every layer of a model that is not itself a model, nested models included, in the model's order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaf_layers(layer)
        else:
            yield layer


def kernels(model: Any) -> dict[str, NDArray[np.floating[Any]]]:
    """Layer name -> its kernel, for every layer that has one. A layer with several, as attention has, gives ``<layer>/<path>`` for each,
    the path being that of the weight below the layer; of two that are named alike, the second ends in ``/2``.

    Layers wrapped for quantization go by the name they had before. Biases and scales are not kernels.
    """
    found: dict[str, NDArray[np.floating[Any]]] = {}
    for layer in dict.fromkeys(leaf_layers(model)):  # a model that is called twice brings its layers twice
        name = str(layer.name).removeprefix(QUANTIZED_PREFIX)
        own = {path: weight for path, weight in weights_by_path(layer).items() if len(weight.shape) >= 2 and _is_kernel(_path(weight)[-1])}
        for path, weight in own.items():
            found[_unused(name if len(own) == 1 else f"{name}/{path}", found)] = weight.numpy()
    return found


def weights_by_path(layer: Any) -> dict[str, Any]:
    """A layer's variables by their path below it, in its order: ``kernel``, ``query/kernel``; of two named alike the second ends in /2."""
    found: dict[str, Any] = {}
    name = str(layer.name).removeprefix(QUANTIZED_PREFIX)
    for weight in layer.weights:
        path = _path(weight)
        # Some weights keep the name of a wrapper when it is gone.
        below = path[path.index(name) + 1 :] if name in path[:-1] else path[min(1, len(path) - 1) :]
        found[_unused("/".join(below), found)] = weight
    return found


def sparsity(values: Mapping[str, NDArray[np.floating[Any]]]) -> float:
    """Share of exact zeros over all the arrays together; 0.0 for none."""
    total = sum(array.size for array in values.values())
    return float(sum(int(np.count_nonzero(array == 0.0)) for array in values.values()) / total) if total else 0.0


def sparsity_by_layer(values: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, float]:
    """Share of exact zeros of each array."""
    return {name: sparsity({name: array}) for name, array in values.items()}


def distinct_values_by_layer(values: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, int]:
    """Number of distinct values of each array, zero included."""
    return {name: int(np.unique(array).size) for name, array in values.items()}


def _path(weight: Any) -> list[str]:
    return str(weight.name).split(":")[0].split("/")


def _unused(key: str, found: Mapping[str, Any]) -> str:
    return key if key not in found else next(other for number in itertools.count(2) if (other := f"{key}/{number}") not in found)


def _is_kernel(name: str) -> bool:
    return name.endswith("kernel") or name == "embeddings"
