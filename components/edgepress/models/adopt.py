"""Adopting a trained model that the user brings along.

The file is not trusted: what it may name is decided from its configuration (``saved_config``), and its weights may not lie in another file
(``self_contained``). What is trusted is the code that then reads it: h5py, and of TensorFlow the restoring of variables from a checkpoint.
"""

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepress.contracts.dataset import DatasetDescription
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import IntegrityError, ModelError, one_line
from edgepress.models.check import check_model
from edgepress.models.keras import keras
from edgepress.models.saved_config import LOOKUP_CLASSES, MODEL_CLASSES, SavedConfig, read_saved_config, refuse_unknown_objects
from edgepress.models.source import copy_source


def adopt_model(source: str, source_digest: str, dataset: DatasetDescription) -> keras.Model:
    """Load a trained Keras 2 model, uncompiled, from a ``.h5`` or ``.keras`` file or a SavedModel directory.

    The source is copied first; the copy is what is verified and then loaded.

    Args:
        source: local path or ``s3://`` URI.
        source_digest: digest that the content must have; an empty string asks for none.
        dataset: what it is for.

    Raises:
        ModelError: it is not such a model, would run code or read another file, or does not fit the dataset.
        IntegrityError: the content does not have the digest.
        StorageError: the object store cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="edgepress-adopt-") as folder:
        copy = Path(folder) / "model"
        copy_source(source, copy)
        digest = digest_tree(copy) if copy.is_dir() else digest_file(copy)
        if source_digest and digest != source_digest:
            raise IntegrityError(f"{source}: changed since the run began (now {digest}, then {source_digest}); run again")
        saved = read_saved_config(copy, source)
        if saved.config.get("class_name") not in MODEL_CLASSES:
            raise ModelError(
                f"{source}: is a {saved.config.get('class_name')}, a subclassed model whose layers cannot be rebuilt from the file; "
                "make it Functional or Sequential"
            )
        refuse_unknown_objects(saved.config, known_classes(), _names(keras.activations, inspect.isfunction), source)
        try:
            model = _load(copy, saved)
        except MemoryError:
            raise
        except Exception as error:
            # Whatever a damaged or unusual file makes Keras stumble over.
            raise ModelError(f"{source}: Keras 2 cannot load it: {one_line(error)[:300]}") from error
    return check_model(model, dataset.inputs, dataset, source)


def known_classes() -> frozenset[str]:
    """Names of Keras' own layers (Lambda and lookups left out), initializers, regularizers and constraints."""
    layers = _names(keras.layers, lambda value: inspect.isclass(value) and issubclass(value, keras.layers.Layer))
    layers -= {"Lambda", *LOOKUP_CLASSES}
    return layers.union(*(_names(module, inspect.isclass) for module in (keras.initializers, keras.regularizers, keras.constraints)))


def _load(path: Path, saved: SavedConfig) -> keras.Model:
    if saved.kind != "saved_model":
        # Keras tells the formats apart by their suffix.
        return keras.models.load_model(path.rename(path.with_suffix(f".{saved.kind}")), compile=False)
    # Keras' loader would revive layers from the graph functions stored beside them; the configuration and the variables are enough.
    model = keras.models.model_from_json(json.dumps(saved.config))
    model.load_weights(str(path / "variables" / "variables")).assert_existing_objects_matched()
    return model


def _names(module: ModuleType, kind: Callable[[Any], bool]) -> frozenset[str]:
    return frozenset(name for name, _ in inspect.getmembers(module, kind))
