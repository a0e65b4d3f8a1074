"""SavedModels of the models that ``tests/unit/tflite_files/make_files.py`` defines."""

from pathlib import Path
from typing import Any

from edgepress.contracts.candidate import SAVED_MODEL_NAME, read_candidate, write_candidate
from edgepress.device.digest import digest_tree
from edgepress.models.keras import keras, tf
from tests.unit.tflite_files import make_files


def save(name: str, folder: Path) -> Path:
    """Write a model's SavedModel: of any batch where the model itself has one, else of a batch of 1."""
    model: Any = getattr(make_files, name)()
    serving = tf.Module()
    if isinstance(model, keras.Model):
        serving.variables_of_model = model.weights
        specs = {tensor.name: tf.TensorSpec((None, *tensor.shape[1:]), tf.float32, name=tensor.name) for tensor in model.inputs}
        order = [tensor.name for tensor in model.inputs]
        serve = tf.function(lambda **named: {"logits": model([named[name] for name in order])}).get_concrete_function(**specs)
    else:
        serve = model.__call__.get_concrete_function()
    tf.saved_model.save(serving, str(folder), signatures={"serving_default": serve})
    return folder


def add_saved_model(candidate: Path, name: str) -> str:
    """Put a model's SavedModel into a candidate directory and its record, and give its digest."""
    save(name, candidate / SAVED_MODEL_NAME)
    digest = digest_tree(candidate / SAVED_MODEL_NAME)
    record = read_candidate(candidate)
    write_candidate(candidate, record.model_copy(update={"artifacts": record.artifacts | {"saved_model": digest}}))
    return digest
