"""What every reader gives: the splits that its source has, each a set of examples that know where they came from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import SplitName

CHUNK_BYTES = 16 << 20
"""Float32 bytes converted at a time: the only copy of the examples beside the reader's own arrays."""


@dataclass(frozen=True)
class Examples:
    """Labelled examples in the type that their source has them in.

    Attributes:
        inputs: input name -> array [n, *shape], numeric; uint8 means pixels (see :func:`as_float32`). May be memory-mapped.
        labels: int64 [n], an index into the content's labels.
        slices: column -> str [n].
        where: names example ``i`` in the user's own terms: an index into an array of a file, or an image's path.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.int64]
    where: Callable[[int], str]
    slices: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.labels)

    def shape(self, name: str) -> tuple[int, ...]:
        """An input's shape without the example axis, as models see it."""
        return as_float32(self.inputs[name][:0]).shape[1:]

    def chunk_length(self) -> int:
        """How many examples make about ``CHUNK_BYTES`` as float32."""
        bytes_per_example = 4 * sum(int(np.prod(values.shape[1:])) for values in self.inputs.values())
        return max(1, CHUNK_BYTES // max(1, bytes_per_example))

    def chunks(self, name: str, indices: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """One input of the examples at ``indices``, converted a chunk at a time: float32 [<= chunk, *shape], C-contiguous."""
        step = self.chunk_length()
        for start in range(0, len(indices), step):
            yield as_float32(self.inputs[name][indices[start : start + step]])


@dataclass(frozen=True)
class SourceContent:
    """A source that has been read.

    Attributes:
        name: what the dataset is called.
        labels: class names.
        given: the splits that the source itself has, ``train`` always among them; what it lacks is taken out of ``train``.
    """

    name: str
    labels: tuple[str, ...]
    given: Mapping[SplitName, Examples]

    @property
    def train(self) -> Examples:
        """The given training split."""
        return self.given["train"]


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Convert a batch to what models take.

    uint8 is pixels: scaled to [0, 1] by 1/255, and [n, height, width] gets a channel axis at the end. Every other numeric type keeps its
    values and its shape.
    """
    if values.dtype == np.uint8:
        pixels = values[..., np.newaxis] if values.ndim == 3 else values
        return np.ascontiguousarray(np.divide(pixels, np.float32(255.0), dtype=np.float32))
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and the check for finite values names it
        return np.ascontiguousarray(values, dtype=np.float32)
