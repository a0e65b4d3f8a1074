"""Sparsity and distinct values read back from real files."""

import numpy as np
import pytest

from edgepress.contracts.evaluation import LayerWeights
from edgepress.errors import ModelError
from edgepress.evaluate.inspect import inspect_weights, overall_sparsity
from edgepress.tflite.flatbuffer import Graph, Operator, Tensor, read_graph
from tests.unit.candidate_files import TFLITE_FILES


def layers_of(name: str) -> tuple[LayerWeights, ...]:
    return inspect_weights(read_graph((TFLITE_FILES / f"{name}.tflite").read_bytes()))


@pytest.mark.parametrize(("name", "dtype"), [("sparse_float32", "float32"), ("sparse_float16", "float16"), ("sparse_int8", "int8")])
def test_zeros_and_clusters_are_found_in_every_stored_type(name: str, dtype: str) -> None:
    half_zero, five_values = layers_of(name)
    assert (half_zero.op, half_zero.dtype, half_zero.elements, half_zero.sparsity) == ("CONV_2D", dtype, 72, 0.5)
    assert (five_values.op, five_values.dtype, five_values.elements, five_values.distinct_values) == ("FULLY_CONNECTED", dtype, 32, 5)
    assert five_values.sparsity == 5 / 32  # the middle one of five values, in rows 1 to 7 of 8x4
    assert half_zero.distinct_values == (37 if dtype != "int8" else 32)  # 36 random ones and zero; some share an int8 code
    assert overall_sparsity((half_zero, five_values)) == pytest.approx((36 + 5) / (72 + 32))


def test_float16_kernels_are_named_for_the_operator_behind_dequantize() -> None:
    assert [layer.op for layer in layers_of("conv_float16")] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
        "FULLY_CONNECTED",
        "FULLY_CONNECTED",
    ]


def test_dynamic_range_quantizes_only_the_large_kernel() -> None:
    assert [layer.dtype for layer in layers_of("conv_dynamic_range")] == ["float32", "float32", "float32", "int8", "float32"]


def test_a_model_without_kernels_has_no_sparsity() -> None:
    assert layers_of("not_finite") == ()
    assert overall_sparsity(()) == 0.0


def kernel(dtype: str, shape: tuple[int, ...], content: bytes, zero_points: tuple[int, ...] = (), is_sparse: bool = False) -> Graph:
    constant = Tensor(
        name="kernel",
        shape=shape,
        is_static=True,
        dtype=dtype,
        scales=tuple(1.0 for _ in zero_points),
        zero_points=zero_points,
        quantized_dimension=0,
        content=np.frombuffer(content, np.uint8),
        is_sparse=is_sparse,
    )
    return Graph(operators=(Operator(name="FULLY_CONNECTED", inputs=(None, constant, None), outputs=(), options=None),))


def test_four_bit_integers_are_unpacked_low_nibble_first() -> None:
    graph = kernel("int4", (1, 3), bytes([0xF1, 0x07]), zero_points=(0,))
    assert graph.operators[0].inputs[1] is not None
    assert graph.operators[0].inputs[1].values.tolist() == [[1, -1, 7]]


def test_zero_is_each_channels_own_zero_point() -> None:
    (layer,) = inspect_weights(kernel("uint8", (2, 3), bytes([5, 6, 5, 5, 6, 6]), zero_points=(5, 6)))
    assert layer.sparsity == 4 / 6


def test_negative_zero_is_a_zero() -> None:
    (layer,) = inspect_weights(kernel("float32", (1, 4), np.array([-0.0, 0.0, 1.0, 2.0], "<f4").tobytes()))
    assert (layer.sparsity, layer.distinct_values) == (0.5, 3)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (kernel("float32", (2, 2), bytes(4), is_sparse=True), "kernel is stored in the sparse format"),
        (kernel("bfloat16", (1, 2), bytes(4)), "kernel holds bfloat16, which is not read"),
    ],
)
def test_kernels_that_cannot_be_read_are_refused(graph: Graph, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        inspect_weights(graph)
