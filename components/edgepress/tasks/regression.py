"""Regression: one or several real targets for each example."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgepress.tasks import comparisons as beside
from edgepress.tasks.metric import Metric
from edgepress.tasks.observations import Observations
from edgepress.tasks.task import LearningTask, Scored, disagreement, worst_slice


def _errors(observed: Observations) -> NDArray[np.float64]:
    """Predicted less true value, float64 [n, targets]."""
    return observed.outputs.astype(np.float64) - observed.labels.astype(np.float64)


def _mean_absolute_error(observed: Observations) -> float:
    return float(np.mean(np.abs(_errors(observed))))


def _root_mean_squared_error(observed: Observations) -> float:
    return float(np.sqrt(np.mean(np.square(_errors(observed)))))


def _r2(observed: Observations) -> float | None:
    """Coefficient of determination, 1 - SS_res / SS_tot, the mean over targets; None where a target does not vary."""
    labels = observed.labels.astype(np.float64)
    total = np.square(labels - labels.mean(axis=0)).sum(axis=0)
    if not np.all(total > 0.0):
        return None
    return float(np.mean(1.0 - np.square(_errors(observed)).sum(axis=0) / total))


MEAN_ABSOLUTE_ERROR = Metric("mean_absolute_error", "mean absolute error", "label units", "lower", "examples", _mean_absolute_error)
ROOT_MEAN_SQUARED_ERROR = Metric(
    "root_mean_squared_error", "root mean squared error", "label units", "lower", "examples", _root_mean_squared_error
)
R2 = Metric("r2", "R²", "ratio", "higher", "examples", _r2, range=(-math.inf, 1.0))
WORST_SLICE_MEAN_ABSOLUTE_ERROR = Metric(
    "worst_slice_mean_absolute_error",
    "mean absolute error of the worst slice",
    "label units",
    "lower",
    "examples",
    lambda observed: worst_slice(MEAN_ABSOLUTE_ERROR, observed),
)


class Regression(LearningTask):
    """Labels are float32 [n, targets]. The score of an example is its absolute error, the mean over targets."""

    name = "regression"
    title = "regression"
    label_dtype = np.dtype(np.float32)
    split_strategies = ("random", "group", "time")
    loss = "mean_squared_error"
    meanings = ("values",)
    selecting = MEAN_ABSOLUTE_ERROR
    metrics = (MEAN_ABSOLUTE_ERROR, ROOT_MEAN_SQUARED_ERROR, R2, WORST_SLICE_MEAN_ABSOLUTE_ERROR)
    comparisons = (beside.OUTPUT_DIFFERENCE, beside.MEAN_ABSOLUTE_ERROR_RISE)
    score_title = "absolute error"

    def label_shape(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return (len(names),)

    def output_shapes(self, names: tuple[str, ...], inputs: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        return ((len(names),),)

    def score(self, observed: Observations) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = np.abs(_errors(observed)).mean(axis=1)
        return scores

    def find_disagreements(
        self,
        metrics: Mapping[str, float | None],
        scored: Scored,
        confusion: Sequence[Sequence[int]],  # noqa: ARG002
    ) -> Iterator[str]:
        yield from disagreement(metrics, MEAN_ABSOLUTE_ERROR, float(scored.scores.mean()), "its scores")

    def compare(self, outputs: Scored, reference: Scored) -> dict[str, float]:
        return {beside.OUTPUT_DIFFERENCE.name: output_difference(outputs, reference)}


def output_difference(outputs: Scored, reference: Scored) -> float:
    """Root mean square difference of two models' outputs."""
    return float(np.sqrt(np.mean(np.square(outputs.outputs.astype(np.float64) - reference.outputs.astype(np.float64)))))
