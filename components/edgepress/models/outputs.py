"""What a model's output means: logits, probabilities, values or a reconstruction."""

from typing import Any, Literal

from edgepress.errors import ModelError
from edgepress.models.keras import keras, tf
from edgepress.tasks.observations import OutputMeaning
from edgepress.tasks.task import LearningTask

Meaning = Literal["logits", "probabilities", "changed probabilities"]

SOFTMAX_OPERATIONS = ("nn.softmax", "compat.v1.nn.softmax", "math.softmax")
SIGMOID_OPERATIONS = ("math.sigmoid", "nn.sigmoid", "sigmoid")
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


def output_meaning(model: keras.Model, task: LearningTask) -> OutputMeaning:
    """What a model's output is, of what it can be for its task.

    Of a classifier it is probabilities where it comes unchanged from a softmax over the classes, or from a sigmoid where one output stands
    for two classes; logits otherwise. Looks through models inside the model, through layers that keep probabilities what they are, and
    through the wrappers of pruning, clustering and quantization-aware training.

    Raises:
        ModelError: the model has several outputs, is not a Functional or Sequential model, or is a classifier that ends in something that
            makes neither logits nor probabilities.
    """
    outputs = _outputs(model)
    if len(outputs) != 1:
        raise ModelError(f"model {model.name}: has {len(outputs)} outputs; a model for {task.name} has one")
    if len(task.meanings) == 1:
        return task.meanings[0]
    classes = outputs[0].shape[-1]
    meaning = _meaning(outputs[0], classes, ())
    if meaning == "changed probabilities":
        last = "sigmoid" if classes == 1 else "softmax over the classes"
        raise ModelError(
            f"model {model.name}: its last layers change what a {'sigmoid or softmax' if classes == 1 else 'softmax'} gave, so that it is "
            f"neither logits nor probabilities; make the {last} the last layer, or leave it out"
        )
    return meaning


def _outputs(model: Any) -> list[Any]:
    outputs = getattr(model, "outputs", None)
    if not outputs or not hasattr(outputs[0], "node"):
        raise ModelError(f"model {model.name}: is not a Functional or Sequential Keras model; build it from keras.Input and layers")
    return list(outputs)


def _meaning(tensor: Any, classes: int, around: tuple[tuple[Any, Any], ...]) -> Meaning:
    """What a tensor of a graph means.

    Args:
        tensor: symbolic.
        classes: values that a softmax must share one among; over another axis it gives no probabilities of classes. Where there is one
            value alone, a sigmoid makes it a probability, and a softmax a constant.
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
    if classes == 1 and _is_sigmoid(layer):
        return "probabilities"
    if _is_softmax(layer):
        return "probabilities" if tensor.shape[-1] == classes > 1 else "changed probabilities"
    # A layer with weights makes something new of whatever it is given, and the logarithm of probabilities serves as logits.
    if (layer.weights and not _keeps(layer)) or _operation(layer) == "math.log":
        return "logits"
    given = [_meaning(each, classes, around) for each in node.keras_inputs]
    if not given or "logits" in given:
        return "logits"
    return "probabilities" if _keeps(layer) and "changed probabilities" not in given else "changed probabilities"


def _is_softmax(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Softmax) or _activation(layer) == "softmax" or _operation(layer) in SOFTMAX_OPERATIONS


def _is_sigmoid(layer: Any) -> bool:
    return _activation(layer) == "sigmoid" or _operation(layer) in SIGMOID_OPERATIONS


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
