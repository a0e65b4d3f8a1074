"""A candidate's Keras model on disk: whole or not there, with the user's objects known."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from edgepress.errors import IntegrityError
from edgepress.models.keras import keras
from edgepress.models.storage import load_model, save_model
from edgepress.models.user_module import load_user_module

MODULE = """
from tensorflow import keras

class Double(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build_model(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), Double(), keras.layers.Dense(num_classes)])

def custom_objects():
    return {"Double": Double}
"""


def small() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def test_a_users_layer_is_loaded_through_the_module(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    module = load_user_module(tmp_path / "module.py")
    assert module is not None
    model = module.call("build_model", (4,), 3)
    save_model(model, tmp_path)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(load_model(tmp_path)(x).numpy(), model(x).numpy())
    (tmp_path / "module.py").unlink()
    with pytest.raises(IntegrityError, match=r"model\.h5: cannot be loaded as a Keras 2 model \(.*Double"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_missing_or_damaged_file_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(IntegrityError, match="run the stage that wrote it again"):
        load_model(tmp_path)


def test_a_full_disk_leaves_the_model_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(small(), tmp_path)
    before = (tmp_path / "model.h5").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(small(), tmp_path)
    assert (tmp_path / "model.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
