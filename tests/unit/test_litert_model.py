"""LiteRT inference on real files: numbers, order, the integer boundary, and every refusal."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepress.device.tensors import TensorSpec, dequantize, quantize
from edgepress.errors import ModelError
from edgepress.tflite.litert import LiteRTModel, runtime_version
from tests.unit.candidate_files import TFLITE_FILES
from tests.unit.runtime_suite import OpenModel, RuntimeSuite


def open_file(name: str) -> LiteRTModel:
    return LiteRTModel.open(TFLITE_FILES / f"{name}.tflite")


def images(count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(7).uniform(low, high, (count, 8, 8, 1)).astype(np.float32)


def int8_spec(scale: float, zero_point: int) -> TensorSpec:
    return TensorSpec(name="x", shape=(1,), dtype=np.dtype(np.int8), scale=scale, zero_point=zero_point)


class TestLiteRT(RuntimeSuite):
    @pytest.fixture
    def open_model(self) -> OpenModel:
        return open_file


def test_examples_keep_their_order_across_conversion_blocks() -> None:
    model, examples = open_file("conv_float32"), images(300)
    one_by_one = np.concatenate([model.predict({"image": examples[index : index + 1]}) for index in range(300)])
    np.testing.assert_array_equal(model.predict({"image": examples}), one_by_one)
    assert len(np.unique(one_by_one, axis=0)) == 300
    assert one_by_one.dtype == np.float32


def test_a_free_batch_dimension_gives_what_a_fixed_one_gives() -> None:
    np.testing.assert_array_equal(
        open_file("conv_dynamic_batch").predict({"image": images(9)}), open_file("conv_float32").predict({"image": images(9)})
    )


@pytest.mark.parametrize(("name", "largest_error"), [("conv_float16", 0.005), ("conv_dynamic_range", 0.05), ("conv_int8", 0.2)])
def test_compressed_variants_stay_near_float(name: str, largest_error: float) -> None:
    exact = open_file("conv_float32").predict({"image": images(50)})
    error = np.abs(open_file(name).predict({"image": images(50)}) - exact).max()
    assert 0 < error < largest_error


def test_integer_inputs_and_outputs_convert_as_the_graph_itself_would() -> None:
    """The file with float32 inputs holds QUANTIZE and DEQUANTIZE operators; ties and values out of range included."""
    integer, floating = open_file("conv_int8"), open_file("conv_int8_float_io")
    scale = integer.inputs[0].scale
    assert scale is not None
    assert integer.inputs[0].dtype == np.int8
    ties = np.arange(-10, 270, 0.5, dtype=np.float32) * np.float32(scale)
    examples = np.concatenate([images(100, -0.3, 1.3), np.repeat(ties, 64).reshape(-1, 8, 8, 1)])
    np.testing.assert_array_equal(integer.predict({"image": examples}), floating.predict({"image": examples}))


def test_rounding_is_to_nearest_with_halves_to_even_and_saturates() -> None:
    real = np.array([-0.5, 0.5, 1.5, 2.5, 0.49, -1.51, 500, -500], np.float32)
    np.testing.assert_array_equal(quantize(real, int8_spec(1.0, 0)), np.array([0, 0, 2, 2, 0, -2, 127, -128], np.int8))


@settings(deadline=None)
@given(
    scale=st.floats(2.0**-13, 8.0, width=32),
    zero_point=st.integers(-128, 127),
    stored=st.lists(st.integers(-128, 127), min_size=1, max_size=20),
)
def test_stored_values_survive_a_round_trip(scale: float, zero_point: int, stored: list[int]) -> None:
    spec, values = int8_spec(scale, zero_point), np.array(stored, np.int8)
    np.testing.assert_array_equal(quantize(dequantize(values, spec), spec), values)


@settings(deadline=None)
@given(scale=st.floats(2.0**-13, 8.0, width=32), zero_point=st.integers(-128, 127), share=st.floats(0.0, 1.0))
def test_quantizing_in_range_loses_at_most_half_a_step(scale: float, zero_point: int, share: float) -> None:
    spec = int8_spec(scale, zero_point)
    real = np.array([scale * (-128 - zero_point + 255 * share)], np.float32)
    assert abs(dequantize(quantize(real, spec), spec)[0] - real[0]) <= scale * 0.5001 + 1e-6


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float64])
def test_a_quantized_input_takes_real_numbers_of_any_type(dtype: type) -> None:
    """Never as stored values: 2 is 2.0, not the third of 256 steps."""
    numbers = np.full((1, 8, 8, 1), 2)
    np.testing.assert_array_equal(
        open_file("conv_int8").predict({"image": numbers.astype(dtype)}),
        open_file("conv_int8").predict({"image": numbers.astype(np.float32)}),
    )


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\x00\x00\x00TFL3" + bytes(40)])
def test_what_is_not_a_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.tflite: LiteRT cannot open it"):
        LiteRTModel.open(path)


def test_a_cut_off_file_is_refused() -> None:
    content = (TFLITE_FILES / "conv_float32.tflite").read_bytes()
    for length in (100, len(content) // 2, len(content) - 400):
        with pytest.raises(ModelError, match="half: LiteRT cannot open it"):
            LiteRTModel(content[:length], "half")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.tflite: cannot be read \(No such file or directory\)"):
        LiteRTModel.open(tmp_path / "absent.tflite")


def test_a_batch_other_than_one_is_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \[4, 8, 8, 1\]; convert with a batch of 1"):
        open_file("conv_batch_4")


def test_runtime_version_names_the_installed_runtime() -> None:
    import ai_edge_litert

    assert runtime_version() == f"litert {ai_edge_litert.__version__}"
