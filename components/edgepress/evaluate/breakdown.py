"""Where a model is right and where it is wrong: by slice, and by pair of classes."""

import numpy as np

from edgepress.contracts.evaluation import SliceMetrics
from edgepress.tasks.classification import Classification, confusion, decide
from edgepress.tasks.observations import Observations
from edgepress.tasks.task import LearningTask


def slice_metrics(task: LearningTask, observed: Observations) -> dict[str, dict[str, SliceMetrics]]:
    """The task's selecting metric on the examples of each value of each slice column: column -> value -> metrics, values sorted."""
    measure = task.selecting.measure
    assert measure is not None
    measured: dict[str, dict[str, SliceMetrics]] = {}
    for column, values in observed.slices.items():
        measured[column] = {}
        for value in np.unique(values):
            chosen = observed.where(values == value)
            measured[column][str(value)] = SliceMetrics(count=len(chosen), value=measure(chosen))
    return measured


def confusion_counts(task: LearningTask, observed: Observations, classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts as [label][predicted] of a classification; empty for any other task."""
    if not isinstance(task, Classification):
        return ()
    counts = confusion(np.asarray(observed.labels), decide(observed.outputs, observed.meaning), classes)
    return tuple(tuple(int(count) for count in row) for row in counts)
