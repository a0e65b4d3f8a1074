"""Inference with TensorFlow on a SavedModel's signature, as TensorFlow Serving runs it.

The one module outside of training and conversion that imports TensorFlow: import it where a SavedModel is about to be opened.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.device.tensors import TensorSpec, fit_inputs
from edgepress.errors import ModelError, one_line

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # as edgepress.models has it, should a process use both

import tensorflow as tf

_SIGNATURE = "serving_default"
_BATCH = 64
"""Examples that a model of any batch runs at a time."""

Example = dict[str, Any]
"""Input name -> tensor [1, *shape]."""


class SavedModel:
    """A SavedModel opened for inference: a ``RunnableModel``.

    Attributes:
        inputs: what its signature takes, by name.
        output: what it gives.
    """

    inputs: tuple[TensorSpec, ...]
    output: TensorSpec

    def __init__(self, directory: Path, source: str, threads: int | None = None) -> None:
        """Load a SavedModel and its signature ``serving_default``.

        Args:
            directory: that holds ``saved_model.pb``.
            source: what to call it in errors.
            threads: that one inference may use, fixed for the whole process; None leaves it as it is.

        Raises:
            ModelError: not a SavedModel, without that signature, with several outputs or with shapes that are not fixed but for the batch;
                or the process has begun to compute with another number of threads.
        """
        self._source = source
        if threads is not None:
            _limit_threads(threads, source)
        try:
            self._loaded = tf.saved_model.load(str(directory))  # its variables live as long as this
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ModelError(f"{source}: TensorFlow cannot open it ({one_line(error)}); convert the model again") from error
        if _SIGNATURE not in self._loaded.signatures:
            raise ModelError(f"{source}: has no signature {_SIGNATURE}; convert the model again")
        self._function = self._loaded.signatures[_SIGNATURE]
        outputs = self._function.structured_outputs
        if len(outputs) != 1:
            raise ModelError(f"{source}: has the outputs {', '.join(sorted(outputs))}; build the model with one")
        inputs = self._function.structured_input_signature[1]
        self.inputs = tuple(self._spec(name, inputs[name]) for name in sorted(inputs))
        self.output = self._spec(*next(iter(outputs.items())))
        self._batch = 1 if any(tensor.shape[0] == 1 for tensor in inputs.values()) else _BATCH
        self._example: Example = {}

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run every example, several at a time where the signature allows it; see ``RunnableModel``."""
        count = len(next(iter(inputs.values())))
        outputs = np.empty((count, *self.output.shape), np.float32)
        for start in range(0, count, self._batch):
            arrays = self._fit({name: array[start : start + self._batch] for name, array in inputs.items()})
            outputs[start : start + self._batch] = self._run({name: tf.constant(array) for name, array in arrays.items()})
        return outputs

    def prepare(self, inputs: Mapping[str, NDArray[Any]]) -> list[Example]:
        """Each example as tensors; see ``RunnableModel``."""
        arrays = self._fit(inputs)
        count = len(next(iter(arrays.values())))
        return [{name: tf.constant(array[index : index + 1]) for name, array in arrays.items()} for index in range(count)]

    def set_example(self, example: Example) -> None:
        """Take one of the examples that ``prepare`` gave."""
        self._example = example

    def invoke(self) -> None:
        """Run the model on the example that was set; see ``RunnableModel``."""
        self._run(self._example)

    def _fit(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {spec.name: array for spec, array in zip(self.inputs, fit_inputs(self.inputs, inputs, self._source), strict=True)}

    def _run(self, tensors: Example) -> NDArray[Any]:
        try:
            outputs: NDArray[Any] = self._function(**tensors)[self.output.name].numpy()
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise ModelError(f"{self._source}: TensorFlow cannot run it ({one_line(error)}); convert the model again") from error
        return outputs

    def _spec(self, name: str, tensor: Any) -> TensorSpec:
        shape = tensor.shape.as_list() if tensor.shape.rank else []
        if not shape or shape[0] not in (None, 1):
            raise ModelError(f"{self._source}: tensor {name} has shape {shape}; convert with any batch")
        if None in shape[1:]:
            raise ModelError(f"{self._source}: tensor {name} has a free dimension besides the batch; convert with fixed shapes")
        return TensorSpec(name=name, shape=tuple(shape[1:]), dtype=np.dtype(tensor.dtype.as_numpy_dtype))


def runtime_version() -> str:
    """Name and version of the runtime, e.g. ``tensorflow 2.21.0``."""
    return f"tensorflow {tf.__version__}"


def _limit_threads(threads: int, source: str) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise ModelError(f"{source}: TensorFlow has computed in this process already, not on {threads} thread; use a new one") from error
