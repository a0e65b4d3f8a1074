"""Inference with LiteRT, as a device runs it: batch 1, the default kernels, integer inputs and outputs converted at the boundary.

The first interpreter of a process writes "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." to standard error. LiteRT has no
switch for it, and closing standard error meanwhile would hide its errors too.
"""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgepress.device.tensors import TensorSpec, dequantize, fit_inputs
from edgepress.errors import ModelError, one_line

_PREPARED_EXAMPLES = 256
"""Examples converted to the model's input types at a time: a whole split in float32 may not fit into memory."""

_DEFAULT_SIGNATURE = "serving_default"

Example = tuple[NDArray[Any], ...]
"""One array [1, *shape] for each input."""


class LiteRTModel:
    """A ``.tflite`` file opened for inference: a ``RunnableModel``.

    Attributes:
        inputs: what it takes, in the file's order.
        output: what it gives.
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
            ModelError: not a model, an operator that LiteRT lacks, a batch other than 1, or not exactly one output.
        """
        self._source = source
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{source}: LiteRT cannot open it ({one_line(error)}); convert the model again") from error
        inputs, (name, detail) = self._signature()
        self.inputs, self._input_indices = tuple(self._spec(*each) for each in inputs.items()), [each["index"] for each in inputs.values()]
        self.output, self._output_index = self._spec(name, detail), detail["index"]

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

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run every example by itself, in order; see ``RunnableModel``."""
        count = len(next(iter(inputs.values())))
        outputs = np.empty((count, *self.output.shape), np.float32)
        for start in range(0, count, _PREPARED_EXAMPLES):
            block = {name: array[start : start + _PREPARED_EXAMPLES] for name, array in inputs.items()}
            for index, example in enumerate(self.prepare(block), start):
                self.set_example(example)
                self.invoke()
                outputs[index] = dequantize(self._interpreter.get_tensor(self._output_index)[0], self.output)
        return outputs

    def prepare(self, inputs: Mapping[str, NDArray[Any]]) -> list[Example]:
        """Each example in the model's own types; see ``RunnableModel``."""
        arrays = fit_inputs(self.inputs, inputs, self._source)
        return [tuple(array[index : index + 1] for array in arrays) for index in range(len(arrays[0]))]

    def set_example(self, example: Example) -> None:
        """Put one of the examples that ``prepare`` gave into the input tensors, and forget what the model remembers of others."""
        self._interpreter.reset_all_variables()
        for index, array in zip(self._input_indices, example, strict=True):
            self._interpreter.set_tensor(index, array)

    def invoke(self) -> None:
        """Run the model on the example that was set; see ``RunnableModel``."""
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._source}: LiteRT cannot run it ({one_line(error)}); convert the model again") from error

    def _signature(self) -> tuple[dict[str, Any], tuple[str, Any]]:
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
            raise ModelError(f"{self._source}: has the outputs {', '.join(sorted(outputs))}; build the model with one")
        (output,) = outputs.items()
        return inputs, output

    def _spec(self, name: str, detail: Mapping[str, Any]) -> TensorSpec:
        shape = tuple(int(size) for size in detail["shape"])
        if not shape or shape[0] != 1:
            raise ModelError(f"{self._source}: tensor {name} has shape {list(shape)}; convert with a batch of 1")
        if any(size < 0 for size in detail["shape_signature"][1:]):
            raise ModelError(f"{self._source}: tensor {name} has a free dimension besides the batch; convert with fixed shapes")
        scale, zero_point = detail["quantization"]
        return TensorSpec(
            name=name,
            shape=shape[1:],
            dtype=np.dtype(detail["dtype"]),
            scale=float(scale) if scale else None,
            zero_point=int(zero_point),
        )


def runtime_version() -> str:
    """Name and version of the runtime, e.g. ``litert 2.3.0``."""
    return f"litert {version('ai-edge-litert')}"


def _plain_name(tensor_name: str) -> str:
    """``serving_default_image:0`` -> ``image``."""
    return tensor_name.removeprefix(f"{_DEFAULT_SIGNATURE}_").rsplit(":", 1)[0]
