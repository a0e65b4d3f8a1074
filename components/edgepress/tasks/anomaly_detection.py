"""Anomaly detection: a model learns to reconstruct what is normal, and what it reconstructs badly is anomalous."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgepress.tasks import comparisons as beside
from edgepress.tasks.metric import Metric
from edgepress.tasks.observations import Observations
from edgepress.tasks.ranking import auc
from edgepress.tasks.regression import output_difference
from edgepress.tasks.task import LearningTask, Scored, worst_slice

NORMAL, ANOMALOUS = 0, 1
"""Labels, and indices into the two class names."""


def reconstruction_errors(observed: Observations) -> NDArray[np.float64]:
    """Mean squared difference of each example's output from its only input, float64 [n]."""
    (inputs,) = observed.inputs.values()
    difference = observed.outputs.astype(np.float64) - inputs.astype(np.float64)
    errors: NDArray[np.float64] = np.square(difference.reshape(len(difference), -1)).mean(axis=1)
    return errors


def _auc(observed: Observations) -> float | None:
    return auc(reconstruction_errors(observed), observed.labels == ANOMALOUS)


def _normal_reconstruction_error(observed: Observations) -> float | None:
    normal = observed.labels == NORMAL
    return float(reconstruction_errors(observed)[normal].mean()) if normal.any() else None


AUC = Metric("auc", "AUC", "ratio", "higher", "examples", _auc)
NORMAL_RECONSTRUCTION_ERROR = Metric(
    "normal_reconstruction_error",
    "mean squared reconstruction error of normal examples",
    "label units",
    "lower",
    "examples",
    _normal_reconstruction_error,
)
WORST_SLICE_AUC = Metric(
    "worst_slice_auc", "AUC of the worst slice", "ratio", "higher", "examples", lambda observed: worst_slice(AUC, observed)
)


class AnomalyDetection(LearningTask):
    """Labels are int64 [n]: 0 normal, 1 anomalous. One input, and outputs shaped as it. The score is the reconstruction error."""

    name = "anomaly_detection"
    title = "detection of anomalies"
    label_dtype = np.dtype(np.int64)
    split_strategies = ("stratified", "random", "group", "time")
    loss = "reconstruction_error"
    meanings = ("reconstruction",)
    trains_on = (NORMAL,)
    selecting = AUC
    metrics = (AUC, NORMAL_RECONSTRUCTION_ERROR, WORST_SLICE_AUC)
    comparisons = (beside.OUTPUT_DIFFERENCE, beside.AUC_DROP)
    score_title = "reconstruction error"

    def label_shape(self, names: tuple[str, ...]) -> tuple[int, ...]:  # noqa: ARG002
        return ()

    def output_shapes(self, names: tuple[str, ...], inputs: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        return tuple(inputs.values())

    def score(self, observed: Observations) -> NDArray[np.float64]:
        return reconstruction_errors(observed)

    def compare(self, outputs: Scored, reference: Scored) -> dict[str, float]:
        return {beside.OUTPUT_DIFFERENCE.name: output_difference(outputs, reference)}
