"""What a model gave for the examples of one split, as metrics are computed from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

OutputMeaning = Literal["logits", "probabilities", "values", "reconstruction"]
"""What a model's output is; the name of its output in the signatures of what is shipped.

``logits`` and ``probabilities`` are of classes (of the second class, where there is one output for two classes), ``values`` are a
regression's, in label units, and ``reconstruction`` is an autoencoder's, shaped as its input.
"""


@dataclass(frozen=True)
class Observations:
    """Arrays have the same first axis: the examples, at least one, in the split's order.

    Attributes:
        labels: as the task has them, e.g. int64 [n].
        outputs: float32 [n, *output shape], finite.
        meaning: of the outputs.
        inputs: input name -> array [n, *shape]; what a reconstruction is compared with.
        slices: column -> str [n].
    """

    labels: NDArray[Any]
    outputs: NDArray[np.float32]
    meaning: OutputMeaning
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slices: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: NDArray[np.bool_]) -> "Observations":
        """The observations of some examples, without their slices."""
        return Observations(
            labels=self.labels[chosen],
            outputs=self.outputs[chosen],
            meaning=self.meaning,
            inputs={name: array[chosen] for name, array in self.inputs.items()},
        )
