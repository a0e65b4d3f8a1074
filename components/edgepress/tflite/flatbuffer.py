"""The graph that a ``.tflite`` file holds: operators, tensors and constants, read with the schema that LiteRT itself ships.

Schema: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import ModelError

_NUMPY_TYPES = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
}
_UNPACKED = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Operators that only change how a constant is represented; LiteRT runs them once, or not at all."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        shape: as allocated for a batch of 1.
        is_static: no dimension is free, apart from the first.
        dtype: as stored, e.g. ``int8`` or ``int4``.
        scales, zero_points: of a quantized tensor, else empty; one value, or one a slice along ``quantized_dimension``.
        content: raw bytes of a constant, None for what is computed.
        is_sparse: stored in LiteRT's sparse format, not element by element.
    """

    name: str
    shape: tuple[int, ...]
    is_static: bool
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    quantized_dimension: int
    content: NDArray[np.uint8] | None
    is_sparse: bool

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def values(self) -> NDArray[Any]:
        """A constant's stored values, in its shape; 4-bit integers are unpacked to int8.

        Raises:
            ModelError: it is sparse, or of a type that is not read.
        """
        assert self.content is not None
        if self.is_sparse:
            raise ModelError(f"tensor {self.name} is stored in the sparse format; convert without it")
        if self.dtype == "int4":
            nibbles = np.stack([self.content & 0x0F, self.content >> 4], axis=-1).reshape(-1)[: self.elements].astype(np.int8)
            return np.where(nibbles > 7, nibbles - 16, nibbles).reshape(self.shape)
        if self.dtype not in _NUMPY_TYPES:
            raise ModelError(f"tensor {self.name} holds {self.dtype}, which is not read; convert to float or int8 weights")
        return self.content.view(np.dtype(_NUMPY_TYPES[self.dtype]).newbyteorder("<")).reshape(self.shape)

    @property
    def is_learned(self) -> bool:
        """Whether a constant can be a parameter: an array of floats or quantized integers, not a shape, an axis or one number."""
        return self.content is not None and len(self.shape) > 0 and (self.dtype.startswith(("float", "bfloat")) or len(self.scales) > 0)


@dataclass(frozen=True)
class Operator:
    """One operator; an optional input that is left out is None. ``options`` is the schema's own table."""

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Any


@dataclass(frozen=True)
class Graph:
    """The main graph of a file, operators in the order in which they run."""

    operators: tuple[Operator, ...]

    def constants(self) -> Iterator[Tensor]:
        """Every constant that an operator reads, once, in the order of first use."""
        seen = set()
        for operator in self.operators:
            for tensor in operator.inputs:
                if tensor is not None and tensor.content is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor

    def constant_behind(self, tensor: Tensor | None) -> Tensor | None:
        """The constant that an operand is, or is unpacked from: float16 weights reach their operator through DEQUANTIZE."""
        while tensor is not None and tensor.content is None:
            producer = self._producers.get(id(tensor))
            tensor = producer.inputs[0] if producer is not None and producer.name in _UNPACKED else None
        return tensor

    @cached_property
    def _producers(self) -> dict[int, Operator]:
        return {id(tensor): operator for operator in self.operators for tensor in operator.outputs}


def read_graph(content: bytes) -> Graph:
    """Read the main graph of a ``.tflite`` file's content. Constants are views of ``content``.

    Raises:
        ModelError: it is not a LiteRT flatbuffer.
    """
    from ai_edge_litert import schema_py_generated as schema

    if content[4:8] != b"TFL3":
        raise ModelError("not a LiteRT flatbuffer: the identifier TFL3 is missing; give a .tflite file")
    try:
        model = schema.ModelT.InitFromPackedBuf(content)
    except (struct.error, IndexError, ValueError, TypeError) as error:
        raise ModelError("not a LiteRT flatbuffer: its tables are broken; convert the model again") from error
    type_names = {number: name.lower() for name, number in vars(schema.TensorType).items() if name.isupper()}
    operator_names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    names = [operator_names[max(code.deprecatedBuiltinCode, code.builtinCode)] for code in model.operatorCodes or ()]
    subgraph = model.subgraphs[0]
    tensors = [_tensor(tensor, model.buffers[tensor.buffer], content, type_names) for tensor in subgraph.tensors]
    return Graph(
        operators=tuple(
            Operator(
                name=names[operator.opcodeIndex],
                inputs=tuple(tensors[index] if index >= 0 else None for index in _listed(operator.inputs)),
                outputs=tuple(tensors[index] for index in _listed(operator.outputs)),
                options=operator.builtinOptions,
            )
            for operator in subgraph.operators or ()
        )
    )


def _tensor(tensor: Any, buffer: Any, content: bytes, type_names: dict[int, str]) -> Tensor:
    quantization = tensor.quantization
    return Tensor(
        name=tensor.name.decode() if isinstance(tensor.name, bytes) else tensor.name or "",
        shape=tuple(int(size) for size in _listed(tensor.shape)),
        is_static=all(size >= 0 for size in _listed(tensor.shapeSignature)[1:]),
        dtype=type_names[tensor.type],
        scales=tuple(float(scale) for scale in _listed(quantization and quantization.scale)),
        zero_points=tuple(int(point) for point in _listed(quantization and quantization.zeroPoint)),
        quantized_dimension=quantization.quantizedDimension if quantization else 0,
        content=_buffer_content(buffer, content),
        is_sparse=tensor.sparsity is not None,
    )


def _buffer_content(buffer: Any, content: bytes) -> NDArray[np.uint8] | None:
    if buffer.data is not None and len(buffer.data):
        data: NDArray[np.uint8] = buffer.data
        return data
    if buffer.offset > 1:  # files above 2 GB keep constants behind the flatbuffer
        return np.frombuffer(content, np.uint8, count=buffer.size, offset=buffer.offset)
    return None


def _listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)
