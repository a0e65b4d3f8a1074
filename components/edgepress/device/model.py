"""What a model that can be run looks like, whichever runtime runs it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgepress.device.tensors import TensorSpec


class RunnableModel(Protocol):
    """A model that its runtime has opened: named inputs, of any number and type, and one output of any shape, named for what it means.

    Nothing of one example reaches the next: a model that keeps state starts each of them afresh.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes, in its own order."""

    @property
    def output(self) -> TensorSpec:
        """What it gives."""

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run every example.

        Args:
            inputs: name -> array [n, *shape], as a dataset's split holds them.

        Returns:
            float32 [n, *output shape] in the examples' order, dequantized where the output is an integer.

        Raises:
            ModelError: names, shapes or types are not the model's, or the runtime fails.
        """

    def prepare(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        """Each example in a form that ``set_example`` takes without converting anything; arguments and errors as ``predict``."""

    def set_example(self, example: Any) -> None:
        """Make one of the examples that ``prepare`` gave the next to be run."""

    def invoke(self) -> None:
        """Run the model on the example that was set: what latency is measured of.

        Raises:
            ModelError: the runtime fails.
        """
