"""Keras builders, the user's own module, and the loading and storing of models.

TensorFlow Model Optimization needs Keras 2. TensorFlow decides which Keras ``tf.keras`` is when it is first used, so the choice is made
here, before anything in this room (or a user's module, which it loads) can import TensorFlow.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
