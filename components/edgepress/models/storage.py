"""The Keras model inside a candidate directory: ``model.h5``, the one format that wrappers of all stages survive."""

import os
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py

from edgepress.contracts.candidate import KERAS_NAME, MODULE_NAME
from edgepress.device.files import fsync_directory
from edgepress.errors import IntegrityError, one_line
from edgepress.models.keras import keras
from edgepress.models.user_module import load_user_module


def load_model(candidate_dir: Path) -> keras.Model:
    """Load a candidate's Keras model, uncompiled. Objects of the user's ``module.py`` and quantize layers are known to it.

    Raises:
        IntegrityError: ``model.h5`` is missing or is not a Keras model.
        ModelError: the user's module does not load.
    """
    path = candidate_dir / KERAS_NAME
    user_module = load_user_module(candidate_dir / MODULE_NAME)
    objects: dict[str, Any] = user_module.call_custom_objects() if user_module else {}
    try:
        return read_model(path, objects)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = one_line(error)[:300]
        raise IntegrityError(f"{path}: cannot be loaded as a Keras 2 model ({reason}); run the stage that wrote it again") from error


def read_model(path: Path, objects: dict[str, Any]) -> keras.Model:
    """Load a Keras model's file, uncompiled, with the user's objects and quantize layers known.

    Raises:
        Exception: whatever h5py or Keras raises for a file that is none, or for what it names and they do not know.
    """
    with h5py.File(path, "r") as file:
        quantized = "Quantize" in str(file.attrs.get("model_config", ""))
    with ExitStack() as scopes:
        if quantized:
            # Importing tfmot takes a second or more; float models do without.
            from tensorflow_model_optimization.quantization.keras import quantize_scope

            scopes.enter_context(quantize_scope(objects))
        return keras.models.load_model(path, custom_objects=objects, compile=False)


def save_model(model: keras.Model, candidate_dir: Path) -> None:
    """Write a model as ``model.h5``, without optimizer state: whole or not at all.

    Raises:
        OSError: the disk is full or the directory cannot be written.
    """
    candidate_dir.mkdir(parents=True, exist_ok=True)
    path = candidate_dir / KERAS_NAME
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with warnings.catch_warnings():
            # Keras recommends .keras, from which quantization-aware models cannot be loaded again.
            warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file", category=UserWarning)
            keras.models.save_model(model, temporary, include_optimizer=False, save_format="h5")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(candidate_dir)
