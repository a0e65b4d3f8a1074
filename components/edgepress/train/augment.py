"""Augmentation of image batches, vectorised: two gathers a batch, so that it costs little beside a training step."""

from typing import Any, Literal

from edgepress.models.keras import tf

MAX_SHIFT_PIXELS = 2


def shift_images(images: Any, seed: Any, *, flip: bool, max_shift_pixels: int = MAX_SHIFT_PIXELS) -> Any:
    """Move each image by its own random whole number of pixels, filling with zeros; with ``flip`` mirror half of them left to right.

    Args:
        images: [batch, height, width, channels], any dtype.
        seed: int tensor [2]; the same seed gives the same images.
        flip: whether to mirror.
        max_shift_pixels: largest shift along each axis, in both directions.

    Returns:
        Tensor of the same shape and dtype.
    """
    size = max_shift_pixels
    shape = tf.shape(images)
    batch, height, width = shape[0], shape[1], shape[2]
    draws = tf.random.stateless_uniform([2, batch], seed, maxval=2 * size + 1, dtype=tf.int32)
    mirrored = tf.random.stateless_uniform([batch], seed + 1, maxval=2, dtype=tf.int32) == 1 if flip else tf.zeros([batch], tf.bool)
    columns = tf.tile(tf.range(width)[tf.newaxis], [batch, 1])
    columns = tf.where(mirrored[:, tf.newaxis], width - 1 - columns, columns) + draws[1][:, tf.newaxis]
    rows = tf.range(height)[tf.newaxis] + draws[0][:, tf.newaxis]
    padded = tf.pad(images, [[0, 0], [size, size], [size, size], [0, 0]])
    shifted = tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
    return tf.ensure_shape(shifted, images.shape)


def augment_images(images: Any, seed: Any, kind: Literal["shift", "flip_shift"]) -> Any:
    """Apply an augmentation of ``TrainSettings.augment`` to images [batch, height, width, channels]."""
    return shift_images(images, seed, flip=kind == "flip_shift")
