"""MobileNetV1 at a quarter of its width, as in MLPerf Tiny's visual wake words (Howard et al. 2017, arXiv:1704.04861)."""

from typing import Any

from edgepress.contracts.builtin_models import MobileNetV1Params
from edgepress.contracts.dataset import InputSpec
from edgepress.models.batch_norm import batch_norm
from edgepress.models.keras import keras

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1))
"""Channels at alpha 1 and stride of each depthwise separable block."""


def build_mobilenet_v1_025(spec: InputSpec, num_classes: int, params: MobileNetV1Params) -> keras.Model:
    """A convolution and 13 depthwise separable blocks, channels scaled by ``alpha``; outputs logits [batch, num_classes]."""
    layers = keras.layers
    image = keras.Input(shape=spec.shape, name=spec.name)
    x = layers.Conv2D(
        _scaled(32, params.alpha), 3, strides=params.stem_stride, padding="same", kernel_initializer="he_normal", name="stem_conv"
    )(image)
    x = _bn_relu(x, name="stem")
    for index, (channels, stride) in enumerate(BLOCKS, start=1):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", depthwise_initializer="he_normal", name=f"block{index}_depthwise")(x)
        x = _bn_relu(x, name=f"block{index}_depthwise")
        x = layers.Conv2D(
            _scaled(channels, params.alpha), 1, padding="same", kernel_initializer="he_normal", name=f"block{index}_pointwise"
        )(x)
        x = _bn_relu(x, name=f"block{index}_pointwise")
    x = layers.AveragePooling2D(pool_size=(x.shape[1], x.shape[2]), name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="mobilenet_v1_025")


def _bn_relu(x: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_relu")(batch_norm(x, name=f"{name}_bn"))


def _scaled(channels: int, alpha: float) -> int:
    return max(1, int(channels * alpha))
