"""What a model file may name, decided from its configuration alone, and where its data may lie: nothing is loaded here."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.errors import ModelError
from edgepress.models.saved_config import read_saved_config, refuse_unknown_objects

KNOWN = frozenset({"Dense", "InputLayer", "GlorotUniform", "L2"})
ACTIVATIONS = frozenset({"relu", "softmax"})
DENSE = {"class_name": "Dense", "config": {"name": "head", "units": 10, "activation": "softmax"}}


def sequential(*layers: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "m", "layers": list(layers)}}


def refusal(config: Any) -> str:
    with pytest.raises(ModelError) as raised:
        refuse_unknown_objects(config, KNOWN, ACTIVATIONS, "m.h5")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_keras_own_objects_pass() -> None:
    initializer = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}, "registered_name": None}
    activation = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"kernel_initializer": initializer, "activation": activation}}
    operation = {"class_name": "TFOpLambda", "config": {"name": "tf.nn.relu", "function": "nn.relu"}}
    refuse_unknown_objects(sequential(dense, operation, sequential(DENSE)), KNOWN, ACTIVATIONS, "m.h5")


LAMBDA = {"class_name": "Lambda", "config": {"name": "secret", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (LAMBDA, "m.h5: layer secret is a Lambda, whose code would run when the file is loaded; rebuild it in a module.py"),
        ({"class_name": "Attention2", "config": {"name": "a"}}, "m.h5: a is a Attention2, which is not one of Keras' own"),
        ({"class_name": "QuantizeWrapperV2", "config": {"name": "q"}}, "m.h5: q is a QuantizeWrapperV2"),
        ({"class_name": "Dense", "config": {"name": "d"}, "module": "os"}, "m.h5: d comes from the Python module os"),
        ({"class_name": "Dense", "config": {"name": "d"}, "module": "keras_evil.x"}, "m.h5: d comes from the Python module keras_evil.x"),
        ({"class_name": "function", "config": "system", "module": "os"}, "m.h5: uses function system"),
        ({"class_name": "function", "config": "relu", "module": "os"}, "m.h5: uses function relu"),
        ({"class_name": "function", "config": "eval", "module": "builtins"}, "m.h5: uses function eval"),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}, "m.h5: __lambda__ is a __lambda__"),
        ({"class_name": "TFOpLambda", "config": {"name": "w", "function": "io.write_file"}}, "m.h5: layer w calls tf.io.write_file"),
        ({"class_name": "TFOpLambda", "config": {"name": "w", "function": "py_function"}}, "m.h5: layer w calls tf.py_function"),
        ({"class_name": ["Dense"], "config": {}}, "m.h5: "),
        (
            {"class_name": "IntegerLookup", "config": {"name": "ids", "vocabulary": "/etc/passwd"}},
            "m.h5: layer ids is a IntegerLookup, which reads whatever file it names as its vocabulary; rebuild it in a module.py",
        ),
        ({"class_name": "StringLookup", "config": {"name": "s"}}, "m.h5: layer s is a StringLookup, which reads"),
        ({"class_name": "TextVectorization", "config": {"name": "t"}}, "m.h5: layer t is a TextVectorization, which reads"),
        (
            {"class_name": "Dense", "config": {"name": "d"}, "module": "keras.src.utils.data_utils", "registered_name": "get_file"},
            "m.h5: d is a Dense but registered as get_file, which is not Keras' own",
        ),
        ({"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "Lambda"}, "m.h5: uses function relu"),
        ({"class_name": "\ud800", "config": {}}, "m.h5: ? is a ?, which is not one of Keras' own"),
    ],
)
def test_what_could_run_code_is_refused(item: dict[str, Any], expected: str) -> None:
    assert refusal(sequential(DENSE, item)).startswith(expected)


@given(path=st.lists(st.one_of(st.just(None), st.text(max_size=5)), max_size=40))
def test_a_lambda_is_found_wherever_it_hides(path: list[str | None]) -> None:
    hidden: Any = LAMBDA
    for key in path:
        hidden = [DENSE, hidden] if key is None else {key: hidden}
    assert "secret is a Lambda" in refusal(hidden)


def test_nesting_deeper_than_python_recurses_is_searched() -> None:
    hidden: Any = LAMBDA
    for _ in range(5000):
        hidden = [hidden]
    assert "Lambda" in refusal(hidden)


def write_h5(path: Path, version: Any, config: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        if config is not None:
            file.attrs["model_config"] = json.dumps(config) if isinstance(config, dict) else config
    return path


def write_keras(path: Path, version: Any, config: Any, *extra: str, weights: Callable[[h5py.File], object] = lambda _: None) -> Path:
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        weights(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stored.getvalue())
        for name in extra:
            archive.writestr(name, b"")
    return path


def flagged(path: Path, *, encrypted: bool) -> Path:
    """The archive with each member said to be encrypted, or compressed in a way that nobody knows."""
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at + (0 if encrypted else 2)] = 1 if encrypted else 77
            start = content.find(signature, start + 1)
    path.write_bytes(content)
    return path


def test_the_configuration_is_read_from_both_file_formats(tmp_path: Path) -> None:
    config = sequential(DENSE)
    assert read_saved_config(write_h5(tmp_path / "m.h5", "2.15.0", config), "m.h5").config == config
    read = read_saved_config(write_keras(tmp_path / "m.keras", "2.21.0", config | {"compile_config": {"class_name": "Adam"}}), "m.keras")
    assert (read.kind, read.config) == ("keras", config)


def test_what_stands_beside_the_configuration_is_looked_at_too(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras", "2.21.0", sequential(DENSE) | {"module": "trap"})
    with pytest.raises(ModelError, match=r"m: m comes from the Python module trap, which is not Keras"):
        refuse_unknown_objects(read_saved_config(path, "m").config, KNOWN, ACTIVATIONS, "m")


def external(file: h5py.File) -> None:
    file.create_dataset("layers/head/kernel:0", (4,), np.uint8, external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), np.uint8)
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "kernel", (4,))
    file.create_group("layers/head").create_virtual_dataset("kernel:0", layout)


def linked(link: Any) -> Callable[[h5py.File], None]:
    def link_kernel(file: h5py.File) -> None:
        file.create_group("layers/head")["kernel:0"] = link

    return link_kernel


def ring(file: h5py.File) -> None:
    """A group that is its own member, and data that lies where it should."""
    file.create_group("layers")["again"] = file["/"]
    file["layers/kernel"] = np.ones(4)


OUTSIDE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "external": (external, "stored in another file"),
    "virtual": (virtual, "stored in another file"),
    "external_link": (linked(h5py.ExternalLink("/elsewhere.h5", "kernel")), "a link, which may lead into another file"),
    "soft_link": (linked(h5py.SoftLink("/layers/other")), "a link, which may lead into another file"),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_data_that_lies_in_another_file_is_refused(kind: str, tmp_path: Path) -> None:
    place, expected = OUTSIDE[kind]
    h5 = write_h5(tmp_path / "m.h5", "2.15.0", sequential(DENSE))
    with h5py.File(h5, "a") as file:
        place(file)
    for path in (h5, write_keras(tmp_path / "m.keras", "2.21.0", sequential(DENSE), weights=place)):
        with pytest.raises(ModelError) as raised:
            read_saved_config(path, "given")
        assert (
            str(raised.value)
            == f"given: /layers/head/kernel:0 is {expected}, and only what the file itself holds is read; save the model again"
        )


def test_links_within_a_file_may_go_in_a_ring(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras", "2.21.0", sequential(DENSE), weights=ring)
    assert read_saved_config(path, "given").config == sequential(DENSE)


def test_the_content_and_not_the_name_tells_the_format(tmp_path: Path) -> None:
    assert read_saved_config(write_h5(tmp_path / "m.keras", "2.15.0", sequential(DENSE)), "m.keras").kind == "h5"


def untyped(path: Path) -> Path:
    """A version of a type for which NumPy has none."""
    with h5py.File(path, "w") as file:
        h5py.h5a.create(file.id, b"keras_version", h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))
    return path


def test_a_file_that_is_no_keras_2_model_is_refused(tmp_path: Path) -> None:
    config = sequential(DENSE)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(config, protocol=4))
    (tmp_path / "pickled.h5").write_bytes(pickle.dumps(config, protocol=4))
    (tmp_path / "text.h5").write_text("no model")
    (tmp_path / "damaged.h5").write_bytes(write_h5(tmp_path / "whole.h5", "2.15.0", config).read_bytes()[:200])
    (tmp_path / "damaged.keras").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "folder").mkdir()
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "saved_model.pb").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    cases = {
        "m.pkl": "is a pickle, which runs code when it is loaded and is never read",
        "pickled.h5": "is a pickle",
        "text.h5": "is not a Keras model",
        "damaged.h5": "is a damaged HDF5 file",
        "damaged.keras": "is a damaged .keras file",
        "absent.h5": "cannot be read",
        "folder": "is a directory without saved_model.pb",
        "exported": "is a SavedModel without Keras layers",
        "other.zip": "is a zip file but not a .keras model",
        write_h5(tmp_path / "k3.h5", "3.15.1", config).name: "was written by Keras 3.15.1, but compression needs Keras 2",
        write_keras(tmp_path / "k3.keras", "3.15.1", config).name: "was written by Keras 3.15.1",
        write_h5(tmp_path / "weights.h5", "2.15.0", None).name: "holds weights but no model",
        write_h5(tmp_path / "json.h5", "2.15.0", "{").name: "the model's configuration is not readable",
        write_h5(tmp_path / "list.h5", "2.15.0", "[]").name: "the model's configuration is not readable",
        write_h5(tmp_path / "number.h5", "2.15.0", 7).name: "the model's configuration is not readable",
        write_h5(tmp_path / "empty.h5", h5py.Empty("f"), h5py.Empty("f")).name: "the model's configuration is not readable",
        write_h5(tmp_path / "array.h5", "2.15.0", np.arange(3)).name: "the model's configuration is not readable",
        write_h5(tmp_path / "latin.h5", np.bytes_(b"2.\xe4"), np.bytes_(b"\xe4")).name: "the model's configuration is not readable",
        write_h5(tmp_path / "latin3.h5", np.bytes_(b"3.\xe4"), config).name: "was written by Keras 3.\ufffd, but",
        untyped(tmp_path / "untyped.h5").name: "is a damaged HDF5 file",
        flagged(write_keras(tmp_path / "secret.keras", "2.21.0", config), encrypted=True).name: "is encrypted",
        flagged(write_keras(tmp_path / "packed.keras", "2.21.0", config), encrypted=False).name: "is a damaged .keras file",
        write_keras(tmp_path / "npz.keras", "2.21.0", config, "model.weights.npz").name: "holds model.weights.npz besides the model",
    }
    for name, expected in cases.items():
        with pytest.raises(ModelError) as raised:
            read_saved_config(tmp_path / name, f"given/{name}")
        assert str(raised.value).startswith(f"given/{name}: {expected}"), name
        assert "\n" not in str(raised.value)
