"""The SavedModel that TensorFlow Serving loads."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import InputSpec
from edgepress.convert.serving import SIGNATURE, ServingModel
from edgepress.errors import StageError
from edgepress.models.keras import tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.observations import OutputMeaning

TOLERANCE = 1e-4
"""Of the reloaded outputs, relative and absolute: the same float32 operations, perhaps fused differently."""


def write_saved_model(
    model: Any, directory: Path, inputs: tuple[InputSpec, ...], meaning: OutputMeaning, user_module: UserModule | None
) -> None:
    """Write a SavedModel with one signature, ``serving_default``: any batch, inputs named as the dataset's and of its dtypes, one float32
    output [batch, *output shape] that is named for what it means.

    Raises:
        ModelError: the ``preprocess`` hook of the user's module fails.
    """
    serving = ServingModel(model, inputs, meaning, user_module, batch_size=None)
    tf.saved_model.save(serving, str(directory), signatures={SIGNATURE: serving.signature})
    # Holds a random number in each file, and nothing that loading needs: without it the digest follows from the content.
    (directory / "fingerprint.pb").unlink()


def check_saved_model(
    directory: Path, model: Any, examples: Iterable[Mapping[str, NDArray[np.generic]]], user_module: UserModule | None
) -> float:
    """Load what was written and compare it with the Keras model.

    Args:
        directory: the SavedModel.
        model: the Keras model behind it.
        examples: input name -> array [1, *shape].
        user_module: its ``preprocess`` stands before the Keras model.

    Returns:
        The largest absolute difference of an output.

    Raises:
        StageError: the SavedModel's outputs are not the Keras model's.
    """
    chosen = list(examples)
    batch = {name: np.concatenate([example[name] for example in chosen]) for name in chosen[0]}
    served = tf.saved_model.load(str(directory)).signatures[SIGNATURE](**{name: tf.constant(array) for name, array in batch.items()})
    (outputs,) = (output.numpy() for output in served.values())
    x: Any = next(iter(batch.values())) if len(batch) == 1 else batch
    if user_module is not None and user_module.preprocess is not None:
        x = user_module.call("preprocess", tf.nest.map_structure(tf.constant, x))
    expected = np.asarray(model(x, training=False))
    difference = float(np.max(np.abs(outputs - expected)))
    if not np.allclose(outputs, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise StageError(f"the SavedModel's outputs differ from the Keras model's by up to {difference:.3g}; it cannot be served")
    return difference
