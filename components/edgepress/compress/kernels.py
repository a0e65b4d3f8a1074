"""Reading weights back: how sparse and how clustered a Keras model's kernels really are."""

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
    """Layer name -> its kernel, for every layer that has one; a layer with several has ``<layer>/<weight>`` for each.

    Layers wrapped for quantization go by the name they had before. Biases and scales are not kernels.
    """
    found: dict[str, NDArray[np.floating[Any]]] = {}
    for layer in leaf_layers(model):
        name = str(layer.name).removeprefix(QUANTIZED_PREFIX)
        own = [weight for weight in layer.weights if len(weight.shape) >= 2 and _is_kernel(_weight_name(weight))]
        for weight in own:
            found[name if len(own) == 1 else f"{name}/{_weight_name(weight)}"] = weight.numpy()
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


def _weight_name(weight: Any) -> str:
    return str(weight.name).split(":")[0].split("/")[-1]


def _is_kernel(name: str) -> bool:
    return name.endswith("kernel") or name == "embeddings"
