"""How good predictions are, and how they differ from the baseline's. Arrays are int64 [n] in the split's order, n at least 1."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.evaluation import SliceMetrics

Labels = NDArray[np.int64]


def accuracy(labels: Labels, predictions: Labels) -> float:
    """Share of predictions that are the label."""
    return int(np.count_nonzero(labels == predictions)) / len(labels)


def slice_accuracy(labels: Labels, predictions: Labels, slices: Mapping[str, NDArray[np.str_]]) -> dict[str, dict[str, SliceMetrics]]:
    """Accuracy on the examples of each value of each slice column: column -> value -> metrics, values sorted."""
    measured: dict[str, dict[str, SliceMetrics]] = {}
    for column, values in slices.items():
        measured[column] = {}
        for value in np.unique(values):
            chosen = values == value
            measured[column][str(value)] = SliceMetrics(
                count=int(np.count_nonzero(chosen)), accuracy=accuracy(labels[chosen], predictions[chosen])
            )
    return measured


def confusion(labels: Labels, predictions: Labels, classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts as [label][predicted]."""
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in row) for row in counts)


def agreement(predictions: Labels, reference: Labels) -> float:
    """Share of examples where both predict the same, right or wrong."""
    return int(np.count_nonzero(predictions == reference)) / len(predictions)


def regressions(labels: Labels, predictions: Labels, reference: Labels) -> int:
    """Examples that the reference gets right and the predictions wrong."""
    return int(np.count_nonzero((reference == labels) & (predictions != labels)))


def corrections(labels: Labels, predictions: Labels, reference: Labels) -> int:
    """Examples that the reference gets wrong and the predictions right."""
    return int(np.count_nonzero((reference != labels) & (predictions == labels)))
