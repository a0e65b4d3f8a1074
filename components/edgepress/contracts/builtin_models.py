"""Built-in architectures: what each takes and which learning tasks it serves. ``edgepress.models`` builds them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from edgepress.contracts.strict import OneOf, StrictModel
from edgepress.contracts.training import PositiveInt
from edgepress.tasks.task import TaskName

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


class AutoencoderParams(StrictModel):
    """Dense layers: ``hidden`` lists the encoder's units, which the decoder has in reverse, with ``bottleneck`` units between them.

    ``batch_norm`` after each of them as MLPerf Tiny has it; quantization-aware training supports that only after a convolution.
    """

    hidden: tuple[PositiveInt, ...] = (128, 128, 128, 128)
    bottleneck: PositiveInt = 8
    batch_norm: bool = False


@dataclass(frozen=True)
class Builtin:
    """One built-in architecture.

    Attributes:
        params: what it takes, all with defaults.
        tasks: the kinds of learning task that it serves.
    """

    params: type[StrictModel]
    tasks: tuple[TaskName, ...]


BUILTIN_MODELS: dict[str, Builtin] = {
    "mlp": Builtin(MlpParams, ("classification", "regression")),
    "resnet8": Builtin(ResNet8Params, ("classification",)),
    "ds_cnn": Builtin(DsCnnParams, ("classification",)),
    "mobilenet_v1_025": Builtin(MobileNetV1Params, ("classification",)),
    "autoencoder": Builtin(AutoencoderParams, ("anomaly_detection",)),
}

BuiltinModel = Annotated[str, OneOf(tuple(BUILTIN_MODELS))]


class ModelChoice(StrictModel):
    """A built-in architecture and its keyword parameters, e.g. ``width``."""

    model: BuiltinModel
    params: dict[str, JsonValue] = {}
