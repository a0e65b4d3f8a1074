"""Bytes, parameters and multiply-accumulates against numbers worked out by hand from ``tflite_files/make_files.py``."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest

from edgepress.errors import ModelError
from edgepress.evaluate.footprint import count_macs, count_parameters, gzip_size
from edgepress.tflite.flatbuffer import Graph, Operator, Tensor, read_graph
from tests.unit.candidate_files import TFLITE_FILES

# conv 3x3x1x4 + 4, depthwise 3x3x4 + 4, conv 1x1x4x6 + 6, dense 96x12 + 12, dense 12x3 + 3
CONV_PARAMETERS = (36 + 4) + (36 + 4) + (24 + 6) + (1152 + 12) + (36 + 3)
# 4x4x4 outputs of 9 products, the same depthwise, 4x4x6 outputs of 4, 12 of 96, 3 of 12
CONV_MACS = 64 * 9 + 64 * 9 + 96 * 4 + 12 * 96 + 3 * 12
# conv 3x3x1x8 + 8 and dense 8x4 + 4; 4x4x8 outputs of 9 products, 4 of 8
SPARSE_PARAMETERS, SPARSE_MACS = 72 + 8 + 32 + 4, 128 * 9 + 4 * 8


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("conv_float32", CONV_PARAMETERS, CONV_MACS),
        ("conv_dynamic_batch", CONV_PARAMETERS, CONV_MACS),
        ("conv_float16", CONV_PARAMETERS, CONV_MACS),
        ("conv_dynamic_range", CONV_PARAMETERS, CONV_MACS),
        ("conv_int8", CONV_PARAMETERS, CONV_MACS),
        ("conv_int8_float_io", CONV_PARAMETERS, CONV_MACS),
        ("sparse_float32", SPARSE_PARAMETERS, SPARSE_MACS),
        ("sparse_int8", SPARSE_PARAMETERS, SPARSE_MACS),
        ("two_inputs", (4 * 3 + 3) + (6 * 3 + 3), 3 * 4 + 3 * 6),
        # 4x4x2 inputs spread over 3x3x3 outputs each; [8, 24] x [24, 8]; [8, 8] x [8, 5]
        ("operators", 3 * 3 * 3 * 2 + 8 * 5, 4 * 4 * 2 * 27 + 8 * 8 * 24 + 8 * 5 * 8),
        ("not_finite", 0, 0),
        # four gates of (2 inputs + 3 recurrent + 1) x 3 cells, dense 3x2 + 2
        ("recurrent", 4 * 18 + 8, None),
    ],
)
def test_parameters_and_macs(name: str, parameters: int, macs: int | None) -> None:
    graph = read_graph((TFLITE_FILES / f"{name}.tflite").read_bytes())
    assert count_parameters(graph) == parameters
    assert count_macs(graph) == macs


def tensor(*shape: int, is_static: bool = True, content: bytes | None = None) -> Tensor:
    return Tensor(
        name="tensor",
        shape=shape,
        is_static=is_static,
        dtype="float32",
        scales=(),
        zero_points=(),
        quantized_dimension=0,
        content=None if content is None else np.frombuffer(content, np.uint8),
        is_sparse=False,
    )


def test_a_transposed_first_matrix_shares_its_rows_dimension() -> None:
    """[24, 8] transposed times [24, 5]: 8 x 5 outputs of 24 products."""
    options = SimpleNamespace(adjX=True, adjY=False)
    product = Operator("BATCH_MATMUL", (tensor(1, 24, 8), tensor(1, 24, 5)), (tensor(1, 8, 5),), options)
    assert count_macs(Graph((product,))) == 8 * 5 * 24


def test_convolutions_in_three_dimensions_count_every_axis() -> None:
    """A 3x2x2 kernel from 4 to 5 channels on 6x7x8 outputs."""
    convolution = Operator("CONV_3D", (tensor(1, 8, 8, 9, 4), tensor(3, 2, 2, 4, 5), None), (tensor(1, 6, 7, 8, 5),), None)
    assert count_macs(Graph((convolution,))) == 6 * 7 * 8 * 5 * 3 * 2 * 2 * 4


def test_a_free_dimension_makes_the_count_unknown() -> None:
    product = Operator("FULLY_CONNECTED", (tensor(1, 1, 8, is_static=False), tensor(5, 8), None), (tensor(1, 1, 5),), None)
    assert count_macs(Graph((product,))) is None


def test_single_numbers_are_no_parameters() -> None:
    scaled = Operator("MUL", (tensor(1, 4), tensor(content=bytes(4))), (tensor(1, 4),), None)
    shifted = Operator("ADD", (scaled.outputs[0], tensor(4, content=bytes(16))), (tensor(1, 4),), None)
    assert count_parameters(Graph((scaled, shifted))) == 4


def test_gzip_size_is_that_of_level_9_and_does_not_depend_on_the_time() -> None:
    content = (TFLITE_FILES / "conv_int8.tflite").read_bytes()
    assert gzip_size(content) == gzip_size(content) == len(gzip.compress(content, 9, mtime=1))
    assert gzip_size(content) < len(gzip.compress(content, 1))
    assert gzip_size(bytes(100_000)) < 200


@pytest.mark.parametrize("content", [b"", b"zip archive", b"\xff\xff\xff\x7fTFL3" + bytes(60)])
def test_what_is_not_a_flatbuffer_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a LiteRT flatbuffer"):
        read_graph(content)
