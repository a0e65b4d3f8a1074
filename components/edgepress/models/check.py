"""Whether a model that somebody brings along fits the dataset and what later stages can do."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgepress.contracts.dataset import DatasetDescription, InputSpec
from edgepress.errors import ModelError
from edgepress.models.keras import keras
from edgepress.models.outputs import output_meaning


def check_model(model: Any, inputs: tuple[InputSpec, ...], dataset: DatasetDescription, origin: str) -> keras.Model:
    """Return the model when it is a Functional or Sequential Keras 2 model that takes these inputs and gives what the dataset's task needs.

    Args:
        model: whatever was built or loaded.
        inputs: what it is to be fed, after any preprocessing.
        dataset: what it is for.
        origin: the file, for messages.

    Raises:
        ModelError: it is something else; the message says what to change.
    """
    if not isinstance(model, keras.Model):
        if any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__):
            raise ModelError(f"{origin}: is a Keras 3 model; build it with Keras 2: import tf_keras, or tensorflow.keras")
        raise ModelError(f"{origin}: is a {type(model).__name__}, not a Keras model")
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None) or not hasattr(model.outputs[0], "node"):
        raise ModelError(f"{origin}: model {model.name} is subclassed or not built; make it Functional or Sequential, with keras.Input")
    for layer in _all_layers(model):
        if isinstance(layer, keras.layers.Lambda):
            raise ModelError(
                f"{origin}: layer {layer.name} is a Lambda, whose code cannot be stored safely; use Keras' own layers, or preprocess(x)"
            )
    _check_inputs(model, inputs, origin)
    if len(model.outputs) != 1:
        raise ModelError(f"{origin}: model {model.name} has {len(model.outputs)} outputs; a model for {dataset.task} has one")
    shape = tuple(model.outputs[0].shape)
    if shape not in [(None, *allowed) for allowed in dataset.output_shapes]:
        wanted = " or ".join(str(list(allowed)) for allowed in dataset.output_shapes)
        raise ModelError(
            f"{origin}: model {model.name} outputs shape {_shown(shape)} an example, but {dataset.task} on this dataset needs {wanted}; "
            "change its last layer"
        )
    try:
        output_meaning(model, dataset.learning_task)
    except ModelError as error:
        raise ModelError(f"{origin}: {error}") from error
    return model


def _check_inputs(model: keras.Model, inputs: tuple[InputSpec, ...], origin: str) -> None:
    if len(model.inputs) != len(inputs):
        names = ", ".join(spec.name for spec in inputs)
        raise ModelError(f"{origin}: model {model.name} has {len(model.inputs)} inputs, but the dataset has {len(inputs)} ({names})")
    tensors = dict(zip(model.input_names, model.inputs, strict=True))
    for spec in inputs:
        if len(inputs) > 1 and spec.name not in tensors:
            raise ModelError(
                f"{origin}: model {model.name} has no input {spec.name}; with several inputs, name them as the dataset does: "
                f"{', '.join(spec.name for spec in inputs)}"
            )
        tensor = tensors[spec.name] if len(inputs) > 1 else model.inputs[0]
        shape = tuple(tensor.shape)
        if shape[1:] != spec.shape:
            raise ModelError(
                f"{origin}: model {model.name} takes examples of shape {_shown(shape)}, the dataset's {spec.name} has {list(spec.shape)}"
            )
        dtype = tensor.dtype.as_numpy_dtype
        if not np.can_cast(np.dtype(spec.dtype), dtype, casting="same_kind"):
            raise ModelError(
                f"{origin}: model {model.name} takes {np.dtype(dtype)}, and would cut off what is behind the point of the dataset's "
                f"{spec.name}, which is {spec.dtype}; give its keras.Input that dtype"
            )


def _shown(shape: tuple[int | None, ...]) -> str:
    return str(["any" if size is None else size for size in shape[1:]]).replace("'", "")


def _all_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)
