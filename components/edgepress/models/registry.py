"""Building the architectures that ``contracts/builtin_models.py`` declares."""

from collections.abc import Callable
from typing import Any

from edgepress.contracts.builtin_models import BUILTIN_MODELS, ModelChoice
from edgepress.contracts.dataset import DatasetDescription, InputSpec
from edgepress.errors import ModelError
from edgepress.models.autoencoder import build_autoencoder
from edgepress.models.ds_cnn import build_ds_cnn
from edgepress.models.keras import keras
from edgepress.models.mlp import build_mlp
from edgepress.models.mobilenet_v1_025 import build_mobilenet_v1_025
from edgepress.models.parameters import check_params
from edgepress.models.resnet8 import build_resnet8


def _classifier_of_images(build: Callable[[InputSpec, int, Any], keras.Model], name: str) -> Callable[..., keras.Model]:
    def build_for(inputs: tuple[InputSpec, ...], shape: tuple[int, ...], meaning: str, params: Any) -> keras.Model:  # noqa: ARG001
        if len(inputs) != 1 or len(inputs[0].shape) != 3:
            given = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
            raise ModelError(
                f"{name}: needs one input of shape [height, width, channels], but the dataset has {given}; use mlp or a module"
            )
        return build(inputs[0], shape[-1], params)

    return build_for


BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "mlp": lambda inputs, shape, meaning, params: build_mlp(inputs, shape[-1], meaning, params),
    "resnet8": _classifier_of_images(build_resnet8, "resnet8"),
    "ds_cnn": _classifier_of_images(build_ds_cnn, "ds_cnn"),
    "mobilenet_v1_025": _classifier_of_images(build_mobilenet_v1_025, "mobilenet_v1_025"),
    "autoencoder": lambda inputs, shape, meaning, params: build_autoencoder(inputs[0], params),  # noqa: ARG005
}
"""Name -> builder from (inputs, shape of one example's output, the first of the task's meanings, parameters)."""


def build_model(
    choice: ModelChoice, inputs: tuple[InputSpec, ...], dataset: DatasetDescription, output_shape: tuple[int, ...] | None = None
) -> keras.Model:
    """Build a built-in architecture: Functional, uncompiled, input layers named as the dataset's inputs. Of a classifier it gives logits.

    Args:
        choice: its name and parameters.
        inputs: what it is to be fed, after any preprocessing.
        dataset: what it is for.
        output_shape: of one example; None takes the usual one of the dataset's task.

    Raises:
        ModelError: a parameter is wrong, or the dataset's task or inputs do not suit the architecture.
    """
    params = check_params(choice)
    if dataset.task not in BUILTIN_MODELS[choice.model].tasks:
        fitting = [name for name, builtin in BUILTIN_MODELS.items() if dataset.task in builtin.tasks]
        raise ModelError(
            f"{choice.model}: serves {' and '.join(BUILTIN_MODELS[choice.model].tasks)}, but the dataset is for {dataset.task}; "
            f"use {', '.join(fitting)} or a module"
        )
    for spec in inputs:
        if spec.dtype != "float32":
            raise ModelError(
                f"{choice.model}: takes float32 inputs, but {spec.name} is {spec.dtype}; convert it at its source, or use a module"
            )
    return BUILDERS[choice.model](inputs, output_shape or dataset.output_shapes[0], dataset.learning_task.meanings[0], params)
