"""Inference with LiteRT, as a device runs it: batch 1, the default kernels, integer inputs and outputs converted at the boundary.

The first interpreter of a process writes "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." to standard error. LiteRT has no
switch for it, and closing standard error meanwhile would hide its errors too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import ModelError, one_line

_ENCODE_EXAMPLES = 256
"""Examples converted to the model's input types at a time: a whole split in float32 may not fit into memory."""

_DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the file.

    Attributes:
        name: in the signature; without a signature the tensor's own.
        index: of the tensor in the interpreter.
        shape: without the batch axis.
        dtype: as stored, e.g. ``int8``.
        scale, zero_point: real = scale * (stored - zero_point); ``scale`` is None for a tensor that is not quantized.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale: float | None
    zero_point: int


class LiteRTModel:
    """A ``.tflite`` classifier opened for inference.

    Attributes:
        inputs: what it takes, in the file's order.
        output: what it gives; its shape is ``(classes,)``.
    """

    inputs: tuple[TensorSpec, ...]
    output: TensorSpec

    def __init__(self, content: bytes, source: str, threads: int = 1) -> None:
        """Open a model held in memory, so that bytes whose digest was checked are the bytes that run.

        Args:
            content: of the ``.tflite`` file.
            source: what to call it in errors.
            threads: of the interpreter.

        Raises:
            ModelError: not a model, an operator that LiteRT lacks, a batch other than 1, or not a classifier.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._source = source
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{source}: LiteRT cannot open it ({one_line(error)}); convert the model again") from error
        self.inputs, self.output = self._signature()

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> Self:
        """Open a ``.tflite`` file.

        Raises:
            ModelError: it cannot be read, or see the constructor.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); give a .tflite file") from error
        return cls(content, str(path), threads)

    @property
    def classes(self) -> int:
        """Number of values that the model gives for an example."""
        return self.output.shape[0]

    def predict(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        """Run every example by itself, in order.

        Args:
            inputs: name -> array [n, *shape], as a dataset's split holds them.

        Returns:
            float32 [n, classes], dequantized where the output is an integer.

        Raises:
            ModelError: names or shapes are not the model's, or LiteRT fails while running.
        """
        count = len(next(iter(inputs.values())))
        outputs = np.empty((count, self.classes), np.float32)
        for start in range(0, count, _ENCODE_EXAMPLES):
            examples = self.encode({name: array[start : start + _ENCODE_EXAMPLES] for name, array in inputs.items()})
            for offset in range(min(_ENCODE_EXAMPLES, count - start)):
                self.set_example(examples, offset)
                self.invoke()
                outputs[start + offset] = self.get_output()
        return outputs

    def encode(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[NDArray[np.generic], ...]:
        """Convert examples to the model's own types.

        Args:
            inputs: name -> array [n, *shape]. A model of one input takes the only array, whatever its name.

        Returns:
            One array [n, *shape] for each of ``self.inputs``, quantized where the input is an integer with a scale.

        Raises:
            ModelError: names, shapes or types are not the model's.
        """
        named = {self.inputs[0].name: next(iter(inputs.values()))} if len(inputs) == len(self.inputs) == 1 else inputs
        if set(named) != {spec.name for spec in self.inputs}:
            wanted = ", ".join(sorted(spec.name for spec in self.inputs))
            raise ModelError(f"{self._source}: takes the inputs {wanted}, but the dataset has {', '.join(sorted(named))}; rename one side")
        return tuple(self._encode_input(spec, named[spec.name]) for spec in self.inputs)

    def set_example(self, examples: tuple[NDArray[np.generic], ...], index: int) -> None:
        """Put one of the examples that ``encode`` gave into the input tensors."""
        for spec, array in zip(self.inputs, examples, strict=True):
            self._interpreter.set_tensor(spec.index, array[index : index + 1])

    def invoke(self) -> None:
        """Run the model on the example that was set.

        Raises:
            ModelError: LiteRT fails while running.
        """
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._source}: LiteRT cannot run it ({one_line(error)}); convert the model again") from error

    def get_output(self) -> NDArray[np.float32]:
        """The last invocation's output, dequantized: float32 [classes]."""
        stored: NDArray[np.generic] = self._interpreter.get_tensor(self.output.index)[0]
        return dequantize(stored, self.output)

    def _encode_input(self, spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
        if array.shape[1:] != spec.shape:
            raise ModelError(
                f"{self._source}: input {spec.name} has shape {list(spec.shape)}, "
                f"but the dataset's examples have {list(array.shape[1:])}; train the model on this dataset"
            )
        if spec.scale is not None and np.issubdtype(array.dtype, np.floating):
            return quantize(array, spec)
        if not np.can_cast(array.dtype, spec.dtype, casting="same_kind"):
            raise ModelError(f"{self._source}: input {spec.name} is {spec.dtype}, but the dataset's examples are {array.dtype}")
        return np.ascontiguousarray(array, spec.dtype)

    def _signature(self) -> tuple[tuple[TensorSpec, ...], TensorSpec]:
        """Inputs and the output, by the names of the signature. Without a signature, by the tensors' own names."""
        interpreter = self._interpreter
        signatures = interpreter.get_signature_list()
        inputs = {_plain_name(detail["name"]): detail for detail in interpreter.get_input_details()}
        outputs = {_plain_name(detail["name"]): detail for detail in interpreter.get_output_details()}
        if signatures:
            key = _DEFAULT_SIGNATURE if _DEFAULT_SIGNATURE in signatures else next(iter(signatures))
            runner = interpreter.get_signature_runner(key)
            indices = {detail["index"] for detail in inputs.values()}
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
            if len(signatures) > 1 and {detail["index"] for detail in inputs.values()} != indices:
                raise ModelError(f"{self._source}: signature {key} is not the file's main graph; convert with that signature alone")
        if len(outputs) != 1:
            raise ModelError(f"{self._source}: has the outputs {', '.join(sorted(outputs))}; a classifier has one")
        specs = [self._spec(name, detail) for name, detail in (*inputs.items(), *outputs.items())]
        output = specs.pop()
        if len(output.shape) != 1:
            raise ModelError(f"{self._source}: output {output.name} has shape {[1, *output.shape]}; a classifier's is [1, classes]")
        return tuple(specs), output

    def _spec(self, name: str, detail: Mapping[str, Any]) -> TensorSpec:
        shape = tuple(int(size) for size in detail["shape"])
        if not shape or shape[0] != 1:
            raise ModelError(f"{self._source}: tensor {name} has shape {list(shape)}; convert with a batch of 1")
        if any(size < 0 for size in detail["shape_signature"][1:]):
            raise ModelError(f"{self._source}: tensor {name} has a free dimension besides the batch; convert with fixed shapes")
        scale, zero_point = detail["quantization"]
        return TensorSpec(
            name=name,
            index=detail["index"],
            shape=shape[1:],
            dtype=np.dtype(detail["dtype"]),
            scale=float(scale) if scale else None,
            zero_point=int(zero_point),
        )


def quantize(real: NDArray[np.generic], spec: TensorSpec) -> NDArray[np.generic]:
    """stored = clip(round(real / scale) + zero_point), halves to even, in float32, as LiteRT's QUANTIZE operator does.

    Formula: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.

    Args:
        real: floating and finite, any shape.
        spec: of a quantized tensor.
    """
    limits = np.iinfo(spec.dtype.name)
    stored = np.rint(real.astype(np.float32) / np.float32(spec.scale)) + spec.zero_point
    return np.clip(stored, limits.min, limits.max).astype(spec.dtype)


def dequantize(stored: NDArray[np.generic], spec: TensorSpec) -> NDArray[np.float32]:
    """real = scale * (stored - zero_point) in float32; a tensor that is not quantized is only cast."""
    if spec.scale is None:
        return stored.astype(np.float32)
    return np.float32(spec.scale) * (stored.astype(np.int32) - spec.zero_point).astype(np.float32)


def runtime_version() -> str:
    """Name and version of the runtime, e.g. ``litert 2.3.0``."""
    return f"litert {version('ai-edge-litert')}"


def _plain_name(tensor_name: str) -> str:
    """``serving_default_image:0`` -> ``image``."""
    return tensor_name.removeprefix(f"{_DEFAULT_SIGNATURE}_").rsplit(":", 1)[0]
