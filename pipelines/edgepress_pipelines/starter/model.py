"""The network of this project. EdgePress calls ``build_model``; the other functions are optional.

This file travels alone to wherever it is used: import libraries, but not other files of yours, and keep it below 40 kB.
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # model optimization needs Keras 2, so layers come from tf_keras

from tf_keras import Model, Sequential, layers


def build_model(input_shape: tuple[int, ...], num_classes: int, filters: int = 16) -> Model:
    """A small convolutional network, Sequential or Functional, that ends in one logit per class.

    ``input_shape`` is that of one example without the batch, here (8, 8, 1); further arguments come from ``baseline.params``. Two classes
    may share one output, a logit or a sigmoid's. For other tasks the second argument says what to give: for a regression the number of
    targets, for anomaly detection the shape of the output, which is that of the input.
    """
    return Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(2 * filters, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(2 * filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(num_classes),
        ]
    )


# Take away the '#' of what you need.

# def loss(y_true, y_pred):
#     """Labels as integers [batch] and logits [batch, classes] to a loss for each example. A regression's labels are floats
#     [batch, targets]; for anomaly detection they are the input itself."""
#     from tf_keras import losses
#     return losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

# def metrics():
#     """Keras metrics to report beside accuracy."""
#     from tf_keras import metrics
#     return [metrics.SparseTopKCategoricalAccuracy(k=2, name="top2_accuracy")]

# def augment(x, y):
#     """Changes training batches only."""
#     import tensorflow as tf
#     return x + tf.random.normal(tf.shape(x), stddev=0.05), y

# def preprocess(x):
#     """TensorFlow operations that become part of the shipped model, so devices feed raw inputs."""
#     return (x - 0.5) / 0.25

# def custom_objects():
#     """Layers of your own, by name, so that a stored model can be loaded again."""
#     return {"MyLayer": MyLayer}
