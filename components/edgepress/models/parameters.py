"""What each built-in architecture takes in ``params``: checked without TensorFlow, so that a typo is found before a run begins."""

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edgepress.contracts.stages import BuiltinModel, ModelChoice
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import PositiveInt
from edgepress.errors import ModelError

Stride = Literal[1, 2]


class MlpParams(StrictModel):
    """Dense layers: ``hidden`` lists their units."""

    hidden: tuple[PositiveInt, ...] = (64, 32)


class ResNet8Params(StrictModel):
    """``width``: channels of the first stack, doubled twice. ``stem_stride`` 2 quarters the multiplications of every layer after it.

    ``batch_norm_momentum``: 0.9 suits trainings of a few hundred steps; Keras' own default is 0.99, which averages over more of them.
    """

    width: PositiveInt = 16
    stem_stride: Stride = 1
    batch_norm_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9


class DsCnnParams(StrictModel):
    """``filters`` of every convolution, ``blocks`` of depthwise and pointwise pairs, ``stem_kernel`` [height, width] of the first
    convolution (no larger than the input), ``dropout`` after the stem (twice that before the classifier)."""

    filters: PositiveInt = 64
    blocks: PositiveInt = 4
    stem_kernel: tuple[PositiveInt, PositiveInt] = (10, 4)
    stem_stride: Stride = 2
    dropout: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.2


class MobileNetV1Params(StrictModel):
    """``alpha`` scales every layer's channels. ``stem_stride`` 1 suits images smaller than about 64 pixels."""

    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    stem_stride: Stride = 2


PARAMS: dict[BuiltinModel, type[StrictModel]] = {
    "mlp": MlpParams,
    "resnet8": ResNet8Params,
    "ds_cnn": DsCnnParams,
    "mobilenet_v1_025": MobileNetV1Params,
}


def check_params(choice: ModelChoice) -> StrictModel:
    """The parameters of a built-in architecture, defaults filled in.

    Raises:
        ModelError: a parameter is unknown, of the wrong type or out of range; the message names what is allowed.
    """
    params = PARAMS[choice.model]
    allowed = ", ".join(f"{name} (default {_shown(field.default)})" for name, field in params.model_fields.items())
    try:
        return params.model_validate_json(json.dumps(choice.params))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        reason = "is not a parameter" if unknown else f"{first['msg']}, not {json.dumps(first['input'])}"
        raise ModelError(f"params.{key}: {reason}; {choice.model} takes {allowed}") from error


def _shown(value: object) -> str:
    return json.dumps(value)
