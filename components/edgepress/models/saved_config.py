"""Reading the architecture out of a model file as data, and refusing what would run code, before Keras loads anything.

Deserializing a Keras configuration instantiates whatever class it names, imports modules that it names, unmarshals the bytecode of
Lambda layers, and reads the file that a lookup layer names as its vocabulary. So only Keras' own layers, initializers, regularizers and
constraints pass, without lookup layers, and only HDF5 that is stored in the file itself.

Of a SavedModel, ``keras_metadata.pb`` is read as data and the variables are restored into the model built from it. The graph, its functions
and the assets stay unread, so no operation stored in it ever runs. A ``.keras`` archive has no members but configuration and weights.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from edgepress.errors import ModelError, one_line
from edgepress.models.self_contained import refuse_outside_data

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
ZIP_ENCRYPTED = 0x1
"""Of a zip member's general purpose flags."""
PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
KERAS_ARCHIVE_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
KERAS_PACKAGES = ("keras", "tf_keras")
MODEL_CLASSES = ("Functional", "Sequential", "Model")
LOOKUP_CLASSES = ("IntegerLookup", "StringLookup", "TextVectorization")
"""Layers whose configuration may name a file to read."""
DATA_CLASSES = ("__tuple__", "TensorShape", "Policy")
OPERATION_CLASSES = ("TFOpLambda", "SlicingOpLambda")
OPERATION_PREFIXES = ("math.", "nn.", "__operators__.")
OPERATIONS = ("cast", "concat", "expand_dims", "identity", "pad", "reshape", "squeeze", "stack", "strided_slice", "transpose")
"""TensorFlow functions that a graph may call besides those of ``OPERATION_PREFIXES``: none of them touches files or runs Python."""

BRING_A_MODULE = "rebuild it in a module.py with build_model and custom_objects and train it there"


@dataclass(frozen=True)
class SavedConfig:
    """A model file's kind and the Keras configuration in it: ``class_name``, ``config``, and whatever else stands beside them."""

    kind: Literal["h5", "keras", "saved_model"]
    config: dict[str, Any]


def read_saved_config(path: Path, shown_as: str) -> SavedConfig:
    """Read the configuration of a ``.h5`` or ``.keras`` file or a SavedModel directory; what it is, its content tells.

    Raises:
        ModelError: it is none of these, is damaged or encrypted, was written by Keras 3, holds no Keras model, or holds HDF5 data that
            lies in another file.
    """
    if path.is_dir():
        return SavedConfig("saved_model", _config_of_saved_model(path, shown_as))
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ModelError(f"{shown_as}: cannot be read ({error.strerror}); give a .h5 or .keras file or a SavedModel directory") from error
    if head == HDF5_MAGIC:
        return SavedConfig("h5", _config_of_h5(path, shown_as))
    if head.startswith(ZIP_MAGIC) and not shown_as.endswith(PICKLE_SUFFIXES):
        return SavedConfig("keras", _config_of_keras(path, shown_as))
    if shown_as.endswith(PICKLE_SUFFIXES) or head[:1] == b"\x80":
        raise ModelError(f"{shown_as}: is a pickle, which runs code when it is loaded and is never read; save the model as .h5")
    raise ModelError(f"{shown_as}: is not a Keras model; give a .h5 or .keras file of Keras 2 or a SavedModel directory")


def refuse_unknown_objects(config: Any, known: Container[str], activations: Container[str], shown_as: str) -> None:
    """Refuse a configuration that names anything but Keras' own objects.

    Args:
        config: parsed JSON.
        known: class names that may be instantiated.
        activations: function names that may be called.
        shown_as: the file, for messages.

    Raises:
        ModelError: it holds a Lambda or lookup layer, or names something unknown.
    """
    for item in _objects(config):
        name = _shown(item["class_name"])
        settings = item.get("config")
        layer = _shown(settings.get("name", name)) if isinstance(settings, dict) else name
        module = item.get("module")
        if name == "Lambda":
            raise ModelError(f"{shown_as}: layer {layer} is a Lambda, whose code would run when the file is loaded; {BRING_A_MODULE}")
        if name in LOOKUP_CLASSES:
            raise ModelError(
                f"{shown_as}: layer {layer} is a {name}, which reads whatever file it names as its vocabulary; {BRING_A_MODULE}"
            )
        if name == "function":
            named = (str(settings), item.get("registered_name") or "function")
            if not (named[0] in activations and named[1] in ("function", named[0]) and module in (None, "builtins", "keras.activations")):
                raise ModelError(f"{shown_as}: uses function {_shown(settings)}, which is not one of Keras' own; {BRING_A_MODULE}")
            continue
        if name in OPERATION_CLASSES:
            function = settings.get("function") if isinstance(settings, dict) else None
            if not isinstance(function, str) or not (function.startswith(OPERATION_PREFIXES) or function in OPERATIONS):
                raise ModelError(f"{shown_as}: layer {layer} calls tf.{_shown(function)}, which is not plain arithmetic; {BRING_A_MODULE}")
        elif name not in known and name not in MODEL_CLASSES and name not in DATA_CLASSES:
            raise ModelError(f"{shown_as}: {layer} is a {name}, which is not one of Keras' own layers or objects; {BRING_A_MODULE}")
        if module is not None and str(module).split(".")[0] not in KERAS_PACKAGES:
            raise ModelError(f"{shown_as}: {layer} comes from the Python module {_shown(module)}, which is not Keras; {BRING_A_MODULE}")
        if item.get("registered_name") not in (None, "", name):
            # Keras would take the object of that name instead.
            registered = _shown(item["registered_name"])
            raise ModelError(f"{shown_as}: {layer} is a {name} but registered as {registered}, which is not Keras' own; {BRING_A_MODULE}")


def _shown(text: Any) -> str:
    """At most 80 characters that any terminal can be given: a file may hold halves of characters."""
    return one_line(text)[:80].encode(errors="replace").decode()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object in parsed JSON, found without recursion: a hostile file may nest deeply."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _config_of_h5(path: Path, shown_as: str) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            refuse_outside_data(file, shown_as)
            version, config = file.attrs.get("keras_version", ""), file.attrs.get("model_config")
    except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
        # h5py raises whichever for content that it cannot read or has no type for.
        raise ModelError(f"{shown_as}: is a damaged HDF5 file; save the model again") from error
    _refuse_keras_3(version, shown_as)
    if config is None:
        raise ModelError(f"{shown_as}: holds weights but no model; save the whole model with model.save(...)")
    return _parse(config, shown_as)


def _config_of_keras(path: Path, shown_as: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names or "metadata.json" not in names:
                raise ModelError(f"{shown_as}: is a zip file but not a .keras model; give a .h5 or .keras file or a SavedModel directory")
            if any(member.flag_bits & ZIP_ENCRYPTED for member in archive.infolist()):
                raise ModelError(f"{shown_as}: is encrypted; give the model as Keras saves it")
            _refuse_keras_3(_parse(archive.read("metadata.json"), shown_as).get("keras_version", ""), shown_as)
            config = _parse(archive.read("config.json"), shown_as)
            extra = sorted(set(names) - set(KERAS_ARCHIVE_MEMBERS))
            if extra:
                raise ModelError(f"{shown_as}: holds {_shown(extra[0])} besides the model, which EdgePress does not load; {BRING_A_MODULE}")
            if len(names) != len(KERAS_ARCHIVE_MEMBERS):
                raise ModelError(f"{shown_as}: does not hold each of {', '.join(KERAS_ARCHIVE_MEMBERS)} once; save the model again")
            with archive.open("model.weights.h5") as weights, h5py.File(weights, "r") as file:
                refuse_outside_data(file, shown_as)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
        # Besides their own errors, zipfile and h5py raise whichever for content that they cannot read.
        raise ModelError(f"{shown_as}: is a damaged .keras file; save the model again") from error
    return {key: value for key, value in config.items() if key != "compile_config"}  # which loading leaves out


def _config_of_saved_model(path: Path, shown_as: str) -> dict[str, Any]:
    if not (path / "saved_model.pb").is_file():
        raise ModelError(f"{shown_as}: is a directory without saved_model.pb; give a .h5 or .keras file or a SavedModel directory")
    metadata_path = path / "keras_metadata.pb"
    if not metadata_path.is_file():
        raise ModelError(
            f"{shown_as}: is a SavedModel without Keras layers (Keras 3's export and tf.saved_model.save write such); "
            "later stages rewrite layers, so save the model with Keras 2: model.save(...)"
        )
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    metadata = SavedMetadata()
    try:
        metadata.ParseFromString(metadata_path.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{shown_as}: keras_metadata.pb is damaged; save the model again") from error
    root = next((node for node in metadata.nodes if node.node_path == "root"), None)
    if root is None:
        raise ModelError(f"{shown_as}: is a SavedModel without a Keras model at its root; save the model with Keras 2: model.save(...)")
    described = _parse(root.metadata, shown_as)
    return {"class_name": described.get("class_name"), "config": described.get("config")}


def _parse(text: Any, shown_as: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise ModelError(f"{shown_as}: the model's configuration is not readable; save the model again") from error
    if not isinstance(parsed, dict):
        raise ModelError(f"{shown_as}: the model's configuration is not readable; save the model again")
    return parsed


def _refuse_keras_3(version: Any, shown_as: str) -> None:
    text = _shown(version.decode(errors="replace") if isinstance(version, bytes) else version)
    if text.startswith("3"):
        raise ModelError(
            f"{shown_as}: was written by Keras {text}, but compression needs Keras 2; build the same model with tf_keras, "
            "set_weights(model.get_weights()), and save that"
        )
