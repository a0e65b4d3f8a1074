"""Building the model of a user's module."""

from collections.abc import Mapping
from typing import Any

from edgepress.contracts.dataset import InputSpec
from edgepress.errors import ModelError
from edgepress.models.check import check_classifier
from edgepress.models.keras import keras, tf
from edgepress.models.user_module import UserModule, first_line


def build_user_model(user_module: UserModule, params: Mapping[str, Any], inputs: tuple[InputSpec, ...], num_classes: int) -> keras.Model:
    """Call ``build_model(input_shape, num_classes, **params)``; ``input_shape`` is what ``preprocess`` gives (a dict for several inputs).

    Raises:
        ModelError: a hook fails, or the model does not fit; the message names the line of the user's file.
    """
    inputs = preprocessed_inputs(user_module, inputs)
    shapes: Any = inputs[0].shape if len(inputs) == 1 else {spec.name: spec.shape for spec in inputs}
    model = user_module.call("build_model", shapes, num_classes, **params)
    return check_classifier(model, inputs, num_classes, f"{user_module.shown_as}:{first_line(user_module.build_model)}: build_model")


def preprocessed_inputs(user_module: UserModule | None, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    """The inputs that the model sees: the dataset's, after the module's ``preprocess``.

    Raises:
        ModelError: ``preprocess`` fails, or does not give one batch of fixed shape for each input.
    """
    if user_module is None or user_module.preprocess is None:
        return inputs
    hook = tf.function(user_module.preprocess)
    specs = {spec.name: tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in inputs}
    with user_module.explaining("preprocess"):
        outputs = hook.get_concrete_function(next(iter(specs.values())) if len(specs) == 1 else specs).structured_outputs
    if len(inputs) == 1:
        outputs = {inputs[0].name: outputs}
    if not isinstance(outputs, Mapping) or set(outputs) != set(specs) or not all(hasattr(value, "shape") for value in outputs.values()):
        wanted = "a tensor" if len(inputs) == 1 else f"a dict of tensors named {', '.join(specs)}"
        raise ModelError(f"{user_module.shown_as}:{first_line(user_module.preprocess)}: preprocess must return {wanted}")
    seen = []
    for spec in inputs:
        value = outputs[spec.name]
        if value.shape.rank is None or value.shape.rank < 1 or None in tuple(value.shape)[1:]:
            raise ModelError(
                f"{user_module.shown_as}:{first_line(user_module.preprocess)}: preprocess gives {spec.name} the shape {value.shape}; "
                "all axes but the batch must be fixed"
            )
        seen.append(InputSpec(name=spec.name, shape=tuple(value.shape)[1:], dtype=value.dtype.name))
    return tuple(seen)
