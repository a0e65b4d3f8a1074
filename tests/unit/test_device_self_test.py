"""The golden self-test, with models that are plain Python: what it accepts, and how it names what it does not."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepress.device.archive import read_archive, write_archive
from edgepress.device.self_test import GOLDEN_INPUTS_NAME, check_golden, golden_name
from edgepress.device.tensors import TensorSpec, fit_inputs
from edgepress.errors import IntegrityError

FRAMES = np.arange(24, dtype=np.float32).reshape(4, 3, 2)


class Doubling:
    """A model [3, 2] -> [3, 2] that gives twice its input, but for what ``change`` makes of it."""

    inputs = (TensorSpec("frame", (3, 2), np.dtype(np.float32)),)
    output = TensorSpec("reconstruction", (3, 2), np.dtype(np.float32))

    def __init__(self, change: Callable[[NDArray[np.float32]], object] = lambda _: None) -> None:
        self._change = change

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = 2 * fit_inputs(self.inputs, inputs, "doubling")[0]
        self._change(outputs)
        return outputs

    def prepare(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        return list(fit_inputs(self.inputs, inputs, "doubling")[0])

    def set_example(self, example: Any) -> None:
        raise NotImplementedError

    def invoke(self) -> None:
        raise NotImplementedError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "golden").mkdir()
    write_archive(tmp_path / GOLDEN_INPUTS_NAME, {"frame": FRAMES})
    write_archive(tmp_path / golden_name("tflite"), {"outputs": 2 * FRAMES})
    return tmp_path


def check(model: Doubling, bundle: Path, examples: int = 4) -> None:
    check_golden(model, bundle, "tflite", examples=examples, tolerance=0.5, source="model.tflite")


def shift(outputs: NDArray[np.float32], value: float) -> None:
    outputs[2, 1, 0] += value


@pytest.mark.parametrize("value", [0.0, 0.5, -0.5])
def test_a_difference_within_the_tolerance_is_the_same(bundle: Path, value: float) -> None:
    check(Doubling(lambda outputs: shift(outputs, value)), bundle)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.75, "is 28.75 on this machine, 28 is expected: they differ by 0.75, more than the tolerance 0.5"),
        (np.nan, "is nan on this machine, 28 is expected: they differ by nan"),
        (np.inf, "is inf on this machine, 28 is expected: they differ by inf"),
    ],
)
def test_a_difference_names_its_example_and_output(bundle: Path, value: float, words: str) -> None:
    with pytest.raises(IntegrityError) as raised:
        check(Doubling(lambda outputs: shift(outputs, value)), bundle)
    assert str(raised.value).startswith(f"model.tflite: output [1, 0] of golden example 2 {words}")
    assert "\n" not in str(raised.value)


def test_a_nan_that_is_expected_is_not_met_by_a_number(bundle: Path) -> None:
    write_archive(bundle / golden_name("tflite"), {"outputs": np.full_like(FRAMES, np.nan)})
    with pytest.raises(IntegrityError, match="nan is expected"):
        check(Doubling(), bundle)


def test_outputs_of_another_shape_are_refused(bundle: Path) -> None:
    write_archive(bundle / golden_name("tflite"), {"outputs": FRAMES[:, 0]})
    with pytest.raises(IntegrityError, match=r"model\.tflite: gives outputs \[4, 3, 2\], but \[4, 2\] are expected"):
        check(Doubling(), bundle)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        (GOLDEN_INPUTS_NAME, {}),
        (GOLDEN_INPUTS_NAME, {"frame": FRAMES[:3]}),
        (golden_name("tflite"), {"outputs": FRAMES[:3]}),
        (golden_name("tflite"), {"values": FRAMES}),
        (golden_name("tflite"), {"outputs": np.float32(1.0)}),
    ],
)
def test_archives_that_do_not_hold_the_examples_are_refused(bundle: Path, name: str, arrays: dict[str, NDArray[Any]]) -> None:
    write_archive(bundle / name, arrays)
    with pytest.raises(IntegrityError, match=r"golden/tflite\.npz: does not hold expected outputs of 4 golden inputs"):
        check(Doubling(), bundle)


@given(names=st.lists(st.sampled_from(["file", "allow_pickle", "image", "a.b"]), min_size=1, unique=True))
def test_an_archive_takes_any_input_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("archive")
    arrays = {name: np.full((2, index + 1), index, np.float32) for index, name in enumerate(names)}
    write_archive(folder / "a.npz", arrays)
    write_archive(folder / "b.npz", arrays)
    read = read_archive(folder / "a.npz")
    assert list(read) == names
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


def test_an_archive_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", outputs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(IntegrityError, match=r"evil\.npz: is not a readable"):
        read_archive(tmp_path / "evil.npz")
