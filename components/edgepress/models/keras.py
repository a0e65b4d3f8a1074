"""The one door to TensorFlow and Keras: ``from edgepress.models.keras import keras, tf``.

``keras`` is Keras 2 (the package ``tf_keras``). Given a Keras 3 model, TensorFlow Model Optimization's ``cluster_weights`` silently
returns None, so that a wrong Keras is an error here.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow turns oneDNN on by itself only for processors with AVX-512 VNNI or AMX. With AVX2 alone a training step of ResNet-8 takes
# 2.5 ms of processor time an example with it and 4.0 ms without; DS-CNN gains a third. Only MobileNetV1's tiny maps lose.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import tensorflow as tf
import tf_keras as keras

if tf.keras.Model is not keras.Model:
    raise ImportError("tensorflow was imported before edgepress.models and uses Keras 3; import edgepress.models.keras first")

__all__ = ["keras", "set_seed", "tf"]


def set_seed(seed: int) -> None:
    """Seed Python's, NumPy's and TensorFlow's generators: initial weights and dropout follow from it."""
    keras.utils.set_random_seed(seed % 2**32)
