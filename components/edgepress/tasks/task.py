"""What a kind of learning task says of itself: one object that ingest, train, evaluate, gate and report read."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgepress.tasks.metric import Metric
from edgepress.tasks.observations import Observations, OutputMeaning

TaskName = Literal["classification", "regression", "anomaly_detection"]

SplitStrategy = Literal["stratified", "random", "group", "time"]
"""How validation and test are taken out of the training data: equal shares of each class, at random, whole groups, or the latest."""

Loss = Literal["cross_entropy", "mean_squared_error", "reconstruction_error"]
"""What training minimises; ``edgepress.train`` has the functions."""


@dataclass(frozen=True)
class Scored:
    """What an evaluation keeps of a model on a split: raw outputs, their meaning, and the task's score of each example.

    Attributes:
        outputs: float32 [n, *output shape].
        meaning: of the outputs.
        scores: float64 [n].
    """

    outputs: NDArray[np.float32]
    meaning: OutputMeaning
    scores: NDArray[np.float64]


class LearningTask(ABC):
    """One kind of learning task.

    Attributes:
        name: in configurations and ``dataset.json``.
        title: in sentences, after "a".
        label_dtype: of ``labels.npy``.
        split_strategies: that make sense for it, the default first.
        loss: what training minimises unless the user's module has a loss of its own.
        meanings: what its models' outputs can mean.
        trains_on: labels that training may see, as indices into the names; None for all. An autoencoder learns
            what is normal from that alone.
        selecting: the metric that chooses the epoch that is kept and settles ties between candidates.
        metrics: all metrics on the examples of a split, ``selecting`` among them.
        comparisons: metrics beside a reference model on the same examples.
        score_title: what the score of an example is.
    """

    name: ClassVar[TaskName]
    title: ClassVar[str]
    label_dtype: ClassVar[np.dtype[Any]]
    split_strategies: ClassVar[tuple[SplitStrategy, ...]]
    loss: ClassVar[Loss]
    meanings: ClassVar[tuple[OutputMeaning, ...]]
    trains_on: ClassVar[tuple[int, ...] | None] = None
    selecting: ClassVar[Metric]
    metrics: ClassVar[tuple[Metric, ...]]
    comparisons: ClassVar[tuple[Metric, ...]]
    score_title: ClassVar[str]

    @abstractmethod
    def label_shape(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Shape of one example's label; ``names`` are the classes' or the targets', as ``dataset.json`` has them."""

    @abstractmethod
    def output_shapes(self, names: tuple[str, ...], inputs: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        """Shapes of one example's output that a model may have, the usual one first.

        Args:
            names: of classes or targets.
            inputs: input name -> shape without the example axis.
        """

    @abstractmethod
    def score(self, observed: Observations) -> NDArray[np.float64]:
        """A score of each example, float64 [n]: what paired comparisons, slices and galleries of examples start from."""

    @abstractmethod
    def compare(self, outputs: Scored, reference: Scored) -> dict[str, float]:
        """What changes beside a reference model on the same examples: metric of source ``comparison`` -> value."""

    def find_disagreements(
        self,
        metrics: Mapping[str, float | None],  # noqa: ARG002
        scored: Scored,  # noqa: ARG002
        confusion: Sequence[Sequence[int]],  # noqa: ARG002
    ) -> Iterator[str]:
        """Where an evaluation's metrics are not what follows from what it kept of each example, a sentence each.

        What needs the labels, which no evaluation keeps, cannot be told.

        Args:
            metrics: by name.
            scored: of at least one example.
            confusion: of a classification, counts as [label][predicted].
        """
        yield from ()

    def measure(self, observed: Observations) -> dict[str, float | None]:
        """Every metric on these examples, by name; None where they cannot tell."""
        return {metric.name: metric.measure(observed) for metric in self.metrics if metric.measure is not None}


def disagreement(metrics: Mapping[str, float | None], metric: Metric, found: float, source: str) -> Iterator[str]:
    """A sentence where a metric is another than was found again, but for the error of adding up in another order."""
    stated = metrics.get(metric.name)
    if stated is not None and not math.isclose(stated, found, rel_tol=1e-9, abs_tol=1e-12):
        yield f"its {metric.title} is {stated:.6g}, but {source} give {found:.6g}"


def worst_slice(metric: Metric, observed: Observations) -> float | None:
    """The worst value of a metric on the examples of any one value of any slice column; None without slices that can tell."""
    assert metric.measure is not None
    values = [
        value
        for column in observed.slices.values()
        for name in np.unique(column)
        if (value := metric.measure(observed.where(column == name))) is not None
    ]
    if not values:
        return None
    return min(values) if metric.direction == "higher" else max(values)
