"""What a metric is. Thresholds, objectives, tables, plots and Prometheus metrics follow from its declaration."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgepress.tasks.observations import Observations

Unit = Literal["ratio", "multiple", "count", "bytes", "ms", "label units"]
"""``ratio`` is a share from 0 to 1, ``multiple`` a quotient of two values; ``label units`` are those of a regression's targets or of an
autoencoder's input."""

Direction = Literal["higher", "lower"]

Source = Literal["examples", "file", "machine", "comparison"]
"""What a metric is measured on: the examples of a split, the shipped file alone, the machine that runs it, or beside a reference model."""

Split = Literal["validation", "test"]


ABOVE_ZERO = math.nextafter(0.0, 1.0)
"""The least of what cannot be 0, e.g. the size of a file."""

MOST = 2.0**63
"""More than anything that can be counted. Python's whole numbers have no end, and larger ones do not fit into the others."""

_RANGES: dict[Unit, tuple[float, float]] = {
    "ratio": (0.0, 1.0),
    "multiple": (ABOVE_ZERO, math.inf),
    "count": (0.0, MOST),
    "bytes": (ABOVE_ZERO, MOST),
    "ms": (ABOVE_ZERO, math.inf),
    "label units": (0.0, math.inf),
}
"""Unit -> lowest and highest value of a metric that does not say otherwise."""


@dataclass(frozen=True)
class Metric:
    """One number that is measured of a model.

    Attributes:
        name: in configurations, verdicts and tables, the unit as its suffix where it has one, e.g. ``latency_p95_ms``.
        title: as sentences and headings have it, e.g. ``p95 latency``.
        unit: of the value.
        direction: which way is better.
        source: what it is measured on.
        measure: from the examples of a split to the value, for ``source`` examples; None from it means that these examples cannot tell.
        whole: the value is an integer.
        range: lowest and highest value that it can have, inclusive; None for its unit's.
    """

    name: str
    title: str
    unit: Unit
    direction: Direction
    source: Source
    measure: Callable[[Observations], float | None] | None = None
    whole: bool = False
    range: tuple[float, float] | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that it can have, inclusive; a value beyond was not measured, whoever says so."""
        return self.range if self.range is not None else _RANGES[self.unit]

    def can_be(self, value: float) -> bool:
        """Whether it can have a value; it can never be NaN or infinite."""
        lowest, highest = self.bounds
        return lowest <= value <= highest and math.isfinite(value)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that it is measured on anew; none for what the file or the machine tells."""
        return ("validation", "test") if self.source in ("examples", "comparison") else ()

    @property
    def heading(self) -> str:
        """The title where a sentence or a column begins: ``Gzip size``, but ``p95 latency``."""
        return self.title if self.title[1].isdigit() else f"{self.title[0].upper()}{self.title[1:]}"

    def is_better(self, value: float, other: float) -> bool:
        """Whether one value beats another."""
        return value > other if self.direction == "higher" else value < other

    def loss(self, value: float, reference: float) -> float:
        """How much worse a value is than a reference's, in the metric's unit; negative when it is better.

        Rounded to 12 decimals: a share is a count over fewer than 10^9 examples, so this takes away nothing but the error of
        subtracting binary fractions: 0.91 - 0.90 is 0.01, and a loss of exactly the bound holds.
        """
        return round(reference - value if self.direction == "higher" else value - reference, 12)
