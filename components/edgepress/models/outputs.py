"""What a model's output means: logits or probabilities."""

from typing import Any, Literal

from edgepress.errors import ModelError
from edgepress.models.keras import keras, tf

Meaning = Literal["logits", "probabilities", "changed probabilities"]

SOFTMAX_OPERATIONS = ("nn.softmax", "compat.v1.nn.softmax", "math.softmax")
KEEPING_LAYERS = (
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.Identity,
    keras.layers.ActivityRegularization,
    keras.layers.Average,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
)
"""Given probabilities alone, they give probabilities: a mean of distributions is one."""
KEEPING_OPERATIONS = ("reshape", "squeeze", "compat.v1.squeeze", "expand_dims", "identity", "cast")


def outputs_probabilities(model: keras.Model) -> bool:
    """Whether what the model gives comes from a softmax over the classes, unchanged. Looks through models inside the model, through layers
    that keep probabilities what they are, and through the wrappers of pruning, clustering and quantization-aware training.

    Raises:
        ModelError: the model has several outputs, is not a Functional or Sequential model, or ends in something that makes neither logits
            nor probabilities of a softmax.
    """
    outputs = _outputs(model)
    if len(outputs) != 1:
        raise ModelError(f"model {model.name}: has {len(outputs)} outputs; a classifier has one")
    meaning = _meaning(outputs[0], outputs[0].shape[-1], ())
    if meaning == "changed probabilities":
        raise ModelError(
            f"model {model.name}: its last layers change what a softmax gave, so that it is neither logits nor probabilities; "
            "make the softmax over the classes the last layer, or leave it out"
        )
    return meaning == "probabilities"


def default_loss(model: keras.Model) -> keras.losses.Loss:
    """Sparse cross-entropy that fits the model's kind of output: takes int labels [batch] and outputs float32 [batch, classes].

    Raises:
        ModelError: as ``outputs_probabilities``.
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not outputs_probabilities(model))


def _outputs(model: Any) -> list[Any]:
    outputs = getattr(model, "outputs", None)
    if not outputs or not hasattr(outputs[0], "node"):
        raise ModelError(f"model {model.name}: is not a Functional or Sequential Keras model; build it from keras.Input and layers")
    return list(outputs)


def _meaning(tensor: Any, classes: int, around: tuple[tuple[Any, Any], ...]) -> Meaning:
    """What a tensor of a graph means.

    Args:
        tensor: symbolic.
        classes: values that a softmax must share one among; over another axis it gives no probabilities of classes.
        around: the models that the tensor's graph lies inside, each with the node that calls it, outermost first.
    """
    node = tensor.node
    layer = node.layer
    while hasattr(layer, "layer"):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        position = next(index for index, output in enumerate(tf.nest.flatten(node.outputs)) if output is tensor)
        return _meaning(_outputs(layer)[position], classes, (*around, (layer, node)))
    if isinstance(layer, keras.layers.InputLayer):
        if not around:
            return "logits"
        model, call = around[-1]
        position = next(index for index, own in enumerate(model.inputs) if own.node.layer is layer)
        return _meaning(call.keras_inputs[position], classes, around[:-1])
    if _is_softmax(layer):
        return "probabilities" if tensor.shape[-1] == classes else "changed probabilities"
    # A layer with weights makes something new of whatever it is given, and the logarithm of probabilities serves as logits.
    if (layer.weights and not _keeps(layer)) or _operation(layer) == "math.log":
        return "logits"
    given = [_meaning(each, classes, around) for each in node.keras_inputs]
    if not given or "logits" in given:
        return "logits"
    return "probabilities" if _keeps(layer) and "changed probabilities" not in given else "changed probabilities"


def _is_softmax(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Softmax) or _activation(layer) == "softmax" or _operation(layer) in SOFTMAX_OPERATIONS


def _keeps(layer: Any) -> bool:
    if isinstance(layer, KEEPING_LAYERS) or type(layer).__name__ == "QuantizeLayer":
        return True
    return (isinstance(layer, keras.layers.Activation) and _activation(layer) == "linear") or _operation(layer) in KEEPING_OPERATIONS


def _activation(layer: Any) -> str:
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # quantization-aware training wraps it
    return str(getattr(activation, "__name__", ""))


def _operation(layer: Any) -> str:
    """The TensorFlow function that a layer stands for; empty for any other layer."""
    return str(getattr(layer, "symbol", "")) if type(layer).__name__ == "TFOpLambda" else ""
