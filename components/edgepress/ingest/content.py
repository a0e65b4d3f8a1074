"""What every reader gives: the splits that its source has, each a set of examples that know where they came from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.config import Scaling
from edgepress.contracts.dataset import SplitName

CHUNK_BYTES = 16 << 20
"""Bytes converted at a time: the only copy of the examples beside the reader's own arrays."""


@dataclass(frozen=True)
class Examples:
    """Labelled examples in the type that their source has them in.

    Attributes:
        inputs: input name -> array [n, *shape], numeric; uint8 means pixels (see :func:`as_model_input`). May be memory-mapped.
        labels: as the task has them: int64 [n], an index into the content's labels, or float32 [n, targets].
        slices: column -> str [n].
        split_by: group or time of each example, [n]; None where splits do not go by one.
        scaling: what becomes of uint8 inputs.
        where: names example ``i`` in the user's own terms: an index into an array of a file, or an image's path.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[Any]
    where: Callable[[int], str]
    slices: Mapping[str, NDArray[np.str_]]
    split_by: NDArray[Any] | None = None
    scaling: Scaling = "unit"

    def __len__(self) -> int:
        return len(self.labels)

    def shape(self, name: str) -> tuple[int, ...]:
        """An input's shape without the example axis, as models see it."""
        return as_model_input(self.inputs[name][:0], self.scaling).shape[1:]

    def dtype(self, name: str) -> str:
        """An input's dtype as models see it, e.g. ``float32``."""
        return str(as_model_input(self.inputs[name][:0], self.scaling).dtype)

    def chunk_length(self) -> int:
        """How many examples make about ``CHUNK_BYTES`` of four bytes a value."""
        bytes_per_example = 4 * sum(int(np.prod(values.shape[1:])) for values in self.inputs.values())
        return max(1, CHUNK_BYTES // max(1, bytes_per_example))

    def chunks(self, name: str, indices: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        """One input of the examples at ``indices``, converted a chunk at a time: [<= chunk, *shape], C-contiguous."""
        step = self.chunk_length()
        for start in range(0, len(indices), step):
            yield as_model_input(self.inputs[name][indices[start : start + step]], self.scaling)


@dataclass(frozen=True)
class SourceContent:
    """A source that has been read.

    Attributes:
        name: what the dataset is called.
        labels: names of the classes, or of a regression's targets.
        given: the splits that the source itself has, ``train`` always among them; what it lacks is taken out of ``train``.
    """

    name: str
    labels: tuple[str, ...]
    given: Mapping[SplitName, Examples]

    @property
    def train(self) -> Examples:
        """The given training split."""
        return self.given["train"]


def as_model_input(values: NDArray[Any], scaling: Scaling) -> NDArray[Any]:
    """Convert a batch to what models take.

    uint8 is pixels: [n, height, width] gets a channel axis at the end, and ``unit`` scales to float32 in [0, 1] by 1/255. int32, such as
    the numbers of tokens, stays as it is. Every other numeric type becomes float32 and keeps its values and its shape.
    """
    if values.dtype == np.uint8:
        pixels = values[..., np.newaxis] if values.ndim == 3 else values
        if scaling == "raw":
            return np.ascontiguousarray(pixels)
        return np.ascontiguousarray(np.divide(pixels, np.float32(255.0), dtype=np.float32))
    if values.dtype == np.int32:
        return np.ascontiguousarray(values)
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and the check for finite values names it
        return np.ascontiguousarray(values, dtype=np.float32)
