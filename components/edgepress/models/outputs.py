"""What a model's output means: logits or probabilities."""

from typing import Any

from edgepress.errors import ModelError
from edgepress.models.keras import keras


def outputs_probabilities(model: keras.Model) -> bool:
    """Whether the model ends in a softmax. Looks through the wrappers of pruning, clustering and quantization-aware training.

    Raises:
        ModelError: the model has several outputs, or is not a Functional or Sequential model.
    """
    outputs = getattr(model, "outputs", None)
    if not outputs or not hasattr(outputs[0], "node"):
        raise ModelError(f"model {model.name}: is not a Functional or Sequential Keras model; build it from keras.Input and layers")
    if len(outputs) != 1:
        raise ModelError(f"model {model.name}: has {len(outputs)} outputs; a classifier has one")
    return _ends_in_softmax(outputs[0].node.layer)


def default_loss(model: keras.Model) -> keras.losses.Loss:
    """Sparse cross-entropy that fits the model's kind of output: takes int labels [batch] and outputs float32 [batch, classes]."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not outputs_probabilities(model))


def _ends_in_softmax(layer: Any) -> bool:
    while hasattr(layer, "layer"):
        layer = layer.layer
    if isinstance(layer, keras.layers.Softmax):
        return True
    if type(layer).__name__ == "TFOpLambda":
        return getattr(layer, "symbol", "") in ("nn.softmax", "compat.v1.nn.softmax", "math.softmax")
    if type(layer).__name__ == "QuantizeLayer":
        return _ends_in_softmax(layer.input.node.layer)
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # quantization-aware training wraps it
    return getattr(activation, "__name__", "") == "softmax"
