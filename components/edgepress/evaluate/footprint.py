"""What a ``.tflite`` file costs: bytes, parameters, multiply-accumulates."""

import gzip
from collections.abc import Callable

from edgepress.tflite.flatbuffer import Graph, Operator, Tensor


def gzip_size(content: bytes) -> int:
    """Bytes after gzip level 9, without a time stamp: what a compressing download transfers."""
    return len(gzip.compress(content, compresslevel=9, mtime=0))


def count_parameters(graph: Graph) -> int:
    """Elements of all learned constants: kernels, biases, and scales that the converter did not fold away."""
    return sum(tensor.elements for tensor in graph.constants() if tensor.is_learned)


def count_macs(graph: Graph) -> int | None:
    """Multiply-accumulates of one inference at batch 1, padding counted as if it were data.

    Convolutions and matrix products count; pooling, activations and other element-wise work count nothing, as in MLPerf Tiny and most
    papers. None when the file holds an operator that multiplies and accumulates in a way not counted here, or a free dimension.
    """
    total = 0
    for operator in graph.operators:
        if operator.name in _UNCOUNTED:
            return None
        count = _MACS.get(operator.name)
        if count is None:
            continue
        if not all(tensor.is_static for tensor in (*operator.inputs, *operator.outputs) if tensor is not None):
            return None
        total += count(operator)
    return total


def _input(operator: Operator, index: int) -> Tensor:
    tensor = operator.inputs[index]
    assert tensor is not None
    return tensor


def _conv_2d(operator: Operator) -> int:
    _, height, width, channels = _input(operator, 1).shape  # output channels first; channels of one group
    return operator.outputs[0].elements * height * width * channels


def _depthwise_conv_2d(operator: Operator) -> int:
    _, height, width, _ = _input(operator, 1).shape
    return operator.outputs[0].elements * height * width


def _transpose_conv(operator: Operator) -> int:
    channels, height, width, _ = _input(operator, 1).shape  # operands: output shape, kernel, data
    return _input(operator, 2).elements * height * width * channels


def _conv_3d(operator: Operator) -> int:
    depth, height, width, channels, _ = _input(operator, 1).shape
    return operator.outputs[0].elements * depth * height * width * channels


def _fully_connected(operator: Operator) -> int:
    return operator.outputs[0].elements * _input(operator, 1).shape[-1]


def _batch_matmul(operator: Operator) -> int:
    shape = _input(operator, 0).shape
    return operator.outputs[0].elements * (shape[-2] if operator.options.adjX else shape[-1])


_MACS: dict[str, Callable[[Operator], int]] = {
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
}
_UNCOUNTED = frozenset(
    {
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "CALL",
        "CONV_3D_TRANSPOSE",
        "CUSTOM",
        "IF",
        "LSTM",
        "RFFT2D",
        "RNN",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_CONVOLUTION",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_DOT_GENERAL",
        "STABLEHLO_WHILE",
        "SVDF",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "WHILE",
    }
)
