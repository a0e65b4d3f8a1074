"""Built-in architectures by name."""

from typing import cast

from edgepress.contracts.dataset import InputSpec
from edgepress.contracts.stages import ModelChoice
from edgepress.errors import ModelError
from edgepress.models.ds_cnn import build_ds_cnn
from edgepress.models.keras import keras
from edgepress.models.mlp import build_mlp
from edgepress.models.mobilenet_v1_025 import build_mobilenet_v1_025
from edgepress.models.parameters import DsCnnParams, MlpParams, MobileNetV1Params, ResNet8Params, check_params
from edgepress.models.resnet8 import build_resnet8


def build_model(choice: ModelChoice, inputs: tuple[InputSpec, ...], num_classes: int) -> keras.Model:
    """Build a built-in architecture: Functional, uncompiled, input layers named as the dataset's inputs, logits [batch, num_classes].

    Raises:
        ModelError: a parameter is wrong, or the dataset's inputs do not suit the architecture.
    """
    params = check_params(choice)
    for spec in inputs:
        if spec.dtype != "float32":
            raise ModelError(f"{choice.model}: takes float32 inputs, but {spec.name} is {spec.dtype}; convert it at its source")
    if isinstance(params, MlpParams):
        return build_mlp(inputs, num_classes, params)
    image = _one_image(choice.model, inputs)
    if isinstance(params, ResNet8Params):
        return build_resnet8(image, num_classes, params)
    if isinstance(params, DsCnnParams):
        return build_ds_cnn(image, num_classes, params)
    return build_mobilenet_v1_025(image, num_classes, cast(MobileNetV1Params, params))


def _one_image(model: str, inputs: tuple[InputSpec, ...]) -> InputSpec:
    if len(inputs) != 1 or len(inputs[0].shape) != 3:
        given = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
        raise ModelError(f"{model}: needs one input of shape [height, width, channels], but the dataset has {given}; use mlp or a module")
    return inputs[0]
