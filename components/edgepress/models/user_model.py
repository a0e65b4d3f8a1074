"""Building the model of a user's module."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.contracts.candidate import KERAS_NAME
from edgepress.contracts.dataset import DatasetDescription, InputSpec
from edgepress.errors import ModelError, one_line
from edgepress.models.check import check_model
from edgepress.models.keras import keras, tf
from edgepress.models.storage import read_model, save_model
from edgepress.models.user_module import UserModule, first_line

TOLERANCE = 1e-4
COMPLETE_CONFIG = "a class of your own needs a get_config() that returns all arguments of its constructor"


def build_user_model(user_module: UserModule, params: Mapping[str, Any], dataset: DatasetDescription) -> keras.Model:
    """Call ``build_model`` with the shape that ``preprocess`` gives (a dict for several inputs), and with the number of classes or targets,
    or the shape of a reconstruction.

    The model is stored and loaded once, as later stages will: what does not survive that is told before it is trained.

    Raises:
        ModelError: a hook fails, or the model does not fit or cannot be stored and loaded; the message names the line of the user's file.
    """
    inputs = preprocessed_inputs(user_module, dataset.inputs)
    shapes: Any = inputs[0].shape if len(inputs) == 1 else {spec.name: spec.shape for spec in inputs}
    usual = dataset.output_shapes[0]
    outputs: Any = usual if dataset.learning_task.loss == "reconstruction_error" else usual[0]
    model = user_module.call("build_model", shapes, outputs, **params)
    origin = f"{user_module.shown_as}:{first_line(user_module.build_model)}: build_model"
    check_model(model, inputs, dataset, origin)
    _check_stored(model, user_module, origin)
    return model


def _check_stored(model: keras.Model, user_module: UserModule, origin: str) -> None:
    """Store the model and load it again.

    Raises:
        ModelError: that fails, or gives a model that computes something else.
    """
    objects = user_module.call_custom_objects()
    with tempfile.TemporaryDirectory(prefix="edgepress-model-") as folder:
        try:
            save_model(model, Path(folder))
            loaded = read_model(Path(folder) / KERAS_NAME, objects)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise ModelError(f"{origin}: {_why_not_stored(one_line(error))}") from error
    draws = np.random.default_rng(0)
    x = [tf.cast(draws.random((2, *tensor.shape[1:])), tensor.dtype) for tensor in model.inputs]
    once, again, stored = (np.asarray(each(x if len(x) > 1 else x[0], training=False)) for each in (model, model, loaded))
    # A model that draws random numbers cannot be compared.
    if np.array_equal(once, again, equal_nan=True) and not np.allclose(once, stored, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        raise ModelError(f"{origin}: the model computes something else when it has been stored and loaded; {COMPLETE_CONFIG}")


def _why_not_stored(message: str) -> str:
    """What Keras's message means for the user's file, and what to do."""
    unknown = re.search(r"Unknown [\w ]+: '?([\w.>]+)'?", message)
    if unknown is not None and unknown[1] == "function":
        named = re.search(r"'class_name': 'function', 'config': '([^']+)'", message)
        function = named[1] if named else "a function"
        return f"uses {function}, a function, which a stored model cannot name; put it into a Layer class, and that into custom_objects()"
    if unknown is not None:
        return (
            f"uses {unknown[1]}, which is not Keras' own, and a stored model cannot be loaded without it; "
            f'define custom_objects() to return {{"{unknown[1]}": {unknown[1]}}}, together with every other such class'
        )
    return f"the model cannot be stored and loaded again ({message[:300]}); {COMPLETE_CONFIG}"


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
