"""DS-CNN, as in MLPerf Tiny's keyword spotting (Zhang et al. 2017, arXiv:1711.07128; Banbury et al. 2021, arXiv:2106.07597)."""

from edgepress.contracts.builtin_models import DsCnnParams
from edgepress.contracts.dataset import InputSpec
from edgepress.models.batch_norm import batch_norm
from edgepress.models.keras import keras


def build_ds_cnn(spec: InputSpec, num_classes: int, params: DsCnnParams) -> keras.Model:
    """A convolution and ``blocks`` depthwise separable ones of ``filters`` channels; outputs logits [batch, num_classes].

    ``spec`` is a spectrogram [time, frequency, 1] or an image [height, width, channels].
    """
    layers = keras.layers
    image = keras.Input(shape=spec.shape, name=spec.name)
    kernel = tuple(min(size, limit) for size, limit in zip(params.stem_kernel, spec.shape[:2], strict=True))
    x = layers.Conv2D(params.filters, kernel, strides=params.stem_stride, padding="same", kernel_initializer="he_normal", name="stem_conv")(
        image
    )
    x = batch_norm(x, name="stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.Dropout(params.dropout, name="stem_dropout")(x)
    for index in range(1, params.blocks + 1):
        x = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="he_normal", name=f"block{index}_depthwise")(x)
        x = batch_norm(x, name=f"block{index}_depthwise_bn")
        x = layers.ReLU(name=f"block{index}_depthwise_relu")(x)
        x = layers.Conv2D(params.filters, 1, padding="same", kernel_initializer="he_normal", name=f"block{index}_pointwise")(x)
        x = batch_norm(x, name=f"block{index}_pointwise_bn")
        x = layers.ReLU(name=f"block{index}_pointwise_relu")(x)
    x = layers.Dropout(2 * params.dropout, name="dropout")(x)
    x = layers.AveragePooling2D(pool_size=(x.shape[1], x.shape[2]), name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="ds_cnn")
