"""ResNet-8, as in MLPerf Tiny's image classification (Banbury et al. 2021, arXiv:2106.07597; He et al. 2016, arXiv:1512.03385)."""

from typing import Any

from edgepress.contracts.builtin_models import ResNet8Params
from edgepress.contracts.dataset import InputSpec
from edgepress.models.batch_norm import batch_norm
from edgepress.models.keras import keras


def build_resnet8(spec: InputSpec, num_classes: int, params: ResNet8Params) -> keras.Model:
    """A stem and three residual stacks of ``width``, 2 and 4 times ``width`` channels; outputs logits [batch, num_classes].

    At 28x28x1, width 16 and 10 classes: 78,378 parameters.
    """
    layers = keras.layers
    image = keras.Input(shape=spec.shape, name=spec.name)
    x = _conv_bn(image, params.width, kernel=3, stride=params.stem_stride, momentum=params.batch_norm_momentum, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for index, (factor, stride) in enumerate(((1, 1), (2, 2), (4, 2)), start=1):
        x = _stack(x, params.width * factor, stride=stride, momentum=params.batch_norm_momentum, name=f"stack{index}")
    x = layers.AveragePooling2D(pool_size=(x.shape[1], x.shape[2]), name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(image, logits, name="resnet8")


def _stack(x: Any, filters: int, stride: int, momentum: float, name: str) -> Any:
    """Two convolutions beside a shortcut; the shortcut is a 1x1 convolution (without normalization) where the stack strides."""
    layers = keras.layers
    y = _conv_bn(x, filters, kernel=3, stride=stride, momentum=momentum, name=f"{name}_a")
    y = layers.ReLU(name=f"{name}_a_relu")(y)
    y = _conv_bn(y, filters, kernel=3, stride=1, momentum=momentum, name=f"{name}_b")
    if stride != 1:
        x = layers.Conv2D(filters, 1, strides=stride, padding="same", kernel_initializer="he_normal", name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _conv_bn(x: Any, filters: int, kernel: int, stride: int, momentum: float, name: str) -> Any:
    layers = keras.layers
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", kernel_initializer="he_normal", name=f"{name}_conv")(x)
    return batch_norm(x, name=f"{name}_bn", momentum=momentum)
