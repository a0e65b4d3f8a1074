"""Writes the small ``.tflite`` files beside this script, with TensorFlow, so that tests that read them need none.

    python tests/unit/tflite_files/make_files.py

Weights come from a seeded generator. The converter's bytes may change with TensorFlow's version, so the files are committed;
what each holds is stated at the function that makes it, and the tests' expected numbers are worked out from that by hand.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

FOLDER = Path(__file__).parent
CLUSTERS = np.array([-0.75, -0.25, 0.0, 0.25, 0.5], np.float32)


def randomize(model: keras.Model, seed: int) -> keras.Model:
    """Give every weight, biases too, a random value, so that the converter merges no two of them."""
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(0.0, 0.4, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


def convolutional() -> keras.Model:
    """8x8x1 -> conv 3x3 stride 2, 4 filters -> depthwise 3x3 -> conv 1x1, 6 filters -> dense 12 -> dense 3 logits."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(6, 1, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(12, activation="relu")(x)
    return randomize(keras.Model(image, keras.layers.Dense(3)(x)), seed=1)


def sparse_and_clustered() -> keras.Model:
    """A 3x3 convolution of 8 filters with 36 of 72 weights zero, and a dense layer of 8x4 that holds only CLUSTERS' five values."""
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(8, 3, name="half_zero")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = randomize(keras.Model(image, keras.layers.Dense(4, name="five_values")(x)), seed=2)
    kernel, bias = model.get_layer("half_zero").get_weights()
    kernel[np.arange(72).reshape(kernel.shape) % 2 == 0] = 0.0
    model.get_layer("half_zero").set_weights([kernel, bias])
    # Each output channel holds the largest magnitude once, so per-channel scales agree and codes stay five.
    values = np.resize(CLUSTERS, (8, 4)).astype(np.float32)
    values[0, :] = CLUSTERS[0]
    model.get_layer("five_values").set_weights([values, model.get_layer("five_values").get_weights()[1]])
    return model


def two_inputs() -> keras.Model:
    """Named inputs ``zeta`` [4] and ``alpha`` [2, 3]: logits are zeta's first three numbers plus ten times alpha's column sums.

    The names sort the other way round than the inputs were declared: a match by position shows.
    """
    zeta = keras.Input((4,), name="zeta")
    alpha = keras.Input((2, 3), name="alpha")
    first_three = keras.layers.Dense(3, name="first_three")(zeta)
    column_sums = keras.layers.Dense(3, name="column_sums")(keras.layers.Flatten()(alpha))
    model = keras.Model([zeta, alpha], keras.layers.Add()([first_three, column_sums]))
    model.get_layer("first_three").set_weights([np.eye(4, 3, dtype=np.float32), np.full(3, 0.125, np.float32)])
    model.get_layer("column_sums").set_weights([10 * np.tile(np.eye(3, dtype=np.float32), (2, 1)), np.full(3, -0.125, np.float32)])
    return model


def operators() -> tf.Module:
    """Transposed convolution 3x3 stride 2 from 4x4x2 to 8x8x3, a matrix product [8, 24] x [24, 8], a product with a constant [8, 5]."""

    class Operators(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = np.random.default_rng(3)
            self.kernel = tf.Variable(generator.normal(size=(3, 3, 3, 2)).astype(np.float32))
            self.table = tf.Variable(generator.normal(size=(8, 5)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 2), tf.float32, name="image")])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            x = tf.nn.conv2d_transpose(image, self.kernel, (1, 8, 8, 3), strides=2, padding="SAME")
            x = tf.reshape(x, (1, 8, 24))
            x = tf.matmul(x, x, transpose_b=True)
            return {"logits": tf.reduce_max(tf.matmul(x, self.table), axis=1)}

    return Operators()


def not_finite() -> tf.Module:
    """log(image) of two numbers: NaN below zero, -inf at zero."""

    class NotFinite(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="image")])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"logits": tf.math.log(image)}

    return NotFinite()


def recurrent() -> keras.Model:
    """An LSTM of 3 cells over 5 steps of 2 numbers: an operator whose multiply-accumulates are not counted."""
    sequence = keras.Input((5, 2), name="sequence")
    return randomize(keras.Model(sequence, keras.layers.Dense(2)(keras.layers.LSTM(3)(sequence))), seed=4)


def bytes_and_tokens() -> tf.Module:
    """Inputs of two integer types, a uint8 image 2x2 and three int32 tokens; values are the image's mean and the tokens' sum."""

    class BytesAndTokens(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2, 2), tf.uint8, name="image"), tf.TensorSpec((1, 3), tf.int32, name="tokens")])
        def __call__(self, image: tf.Tensor, tokens: tf.Tensor) -> dict[str, tf.Tensor]:
            mean = tf.reduce_mean(tf.cast(image, tf.float32), axis=(1, 2))
            return {"values": tf.stack([mean, tf.cast(tf.reduce_sum(tokens, axis=1), tf.float32)], axis=1)}

    return BytesAndTokens()


def autoencoder() -> tf.Module:
    """An output shaped as its input: half of a 4x3 frame, plus a quarter."""

    class Autoencoder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4, 3), tf.float32, name="frame")])
        def __call__(self, frame: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"reconstruction": 0.5 * frame + 0.25}

    return Autoencoder()


def two_outputs() -> tf.Module:
    """Two outputs, which no task has."""

    class TwoOutputs(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="image")])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"logits": image + 1.0, "embedding": image * 2.0}

    return TwoOutputs()


def convert(
    model: keras.Model | tf.Module, batch: int | None = 1, settings: Callable[[tf.lite.TFLiteConverter], None] | None = None
) -> bytes:
    """To bytes of a ``.tflite`` with one signature whose inputs keep their names."""
    if isinstance(model, keras.Model):
        specs = {tensor.name: tf.TensorSpec((batch, *tensor.shape[1:]), tf.float32, name=tensor.name) for tensor in model.inputs}
        order = [tensor.name for tensor in model.inputs]
        call = tf.function(lambda **named: {"logits": model([named[name] for name in order])})
        concrete = call.get_concrete_function(**specs)
    else:
        concrete = model.__call__.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    if settings is not None:
        settings(converter)
    return converter.convert()


def dynamic_range(converter: tf.lite.TFLiteConverter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def float16(converter: tf.lite.TFLiteConverter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def int8(shape: tuple[int, ...], io: tf.DType) -> Callable[[tf.lite.TFLiteConverter], None]:
    def settings(converter: tf.lite.TFLiteConverter) -> None:
        generator = np.random.default_rng(5)
        examples = [generator.uniform(size=(1, *shape)).astype(np.float32) for _ in range(32)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([example] for example in examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = io

    return settings


def main() -> None:
    files = {
        "conv_float32": convert(convolutional()),
        "conv_dynamic_batch": convert(convolutional(), batch=None),
        "conv_batch_4": convert(convolutional(), batch=4),
        "conv_float16": convert(convolutional(), settings=float16),
        "conv_dynamic_range": convert(convolutional(), settings=dynamic_range),
        "conv_int8": convert(convolutional(), settings=int8((8, 8, 1), tf.int8)),
        "conv_int8_float_io": convert(convolutional(), settings=int8((8, 8, 1), tf.float32)),
        "sparse_float32": convert(sparse_and_clustered()),
        "sparse_float16": convert(sparse_and_clustered(), settings=float16),
        "sparse_int8": convert(sparse_and_clustered(), settings=int8((6, 6, 1), tf.int8)),
        "two_inputs": convert(two_inputs()),
        "operators": convert(operators()),
        "not_finite": convert(not_finite()),
        "recurrent": convert(recurrent()),
        "bytes_and_tokens": convert(bytes_and_tokens()),
        "autoencoder": convert(autoencoder()),
        "two_outputs": convert(two_outputs()),
    }
    for name, content in files.items():
        (FOLDER / f"{name}.tflite").write_bytes(content)
        print(f"{name}.tflite: {len(content)} bytes")


if __name__ == "__main__":
    main()
