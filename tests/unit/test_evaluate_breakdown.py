"""Slices and confusion, of each kind of task."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepress.contracts.evaluation import SliceMetrics
from edgepress.evaluate.breakdown import confusion_counts, slice_metrics
from edgepress.tasks.observations import Observations
from edgepress.tasks.registry import TASKS

CLASSES = 3
Labels = NDArray[np.int64]
CLASSIFICATION = TASKS["classification"]


@settings(deadline=None)
@given(
    st.integers(1, 60).flatmap(
        lambda count: st.tuples(*[hnp.arrays(np.int64, count, elements=st.integers(0, CLASSES - 1)) for _ in range(3)])
    )
)
def test_slices_weighted_by_count_give_the_overall_accuracy(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, column = arrays
    outputs = np.eye(CLASSES, dtype=np.float32)[predictions]
    observed = Observations(labels, outputs, "logits", slices={"site": column.astype(np.str_)})
    slices = slice_metrics(CLASSIFICATION, observed)["site"]
    accuracy = CLASSIFICATION.measure(observed)["accuracy"]
    assert accuracy is not None
    assert sum(metrics.count for metrics in slices.values()) == len(labels)
    assert round(sum(metrics.count * (metrics.value or 0.0) for metrics in slices.values())) == round(accuracy * len(labels))
    assert list(slices) == sorted({str(value) for value in column})


def test_slices_are_measured_by_what_selects_in_the_task() -> None:
    labels, outputs = np.array([[1], [2], [3], [4]], np.float32), np.array([[1], [4], [3], [8]], np.float32)
    observed = Observations(labels, outputs, "values", slices={"site": np.array(["b", "a", "a", "b"])})
    slices = slice_metrics(TASKS["regression"], observed)
    assert slices == {"site": {"a": SliceMetrics(count=2, value=1.0), "b": SliceMetrics(count=2, value=2.0)}}


def test_a_slice_that_cannot_tell_says_so() -> None:
    """A slice without an anomaly has no AUC."""
    frames = np.zeros((3, 2), np.float32)
    outputs = np.array([[0, 0], [1, 1], [2, 2]], np.float32)
    observed = Observations(np.array([0, 1, 0]), outputs, "reconstruction", {"frame": frames}, {"site": np.array(["a", "a", "b"])})
    slices = slice_metrics(TASKS["anomaly_detection"], observed)["site"]
    assert slices == {"a": SliceMetrics(count=2, value=1.0), "b": SliceMetrics(count=1, value=None)}


@pytest.mark.parametrize("outputs", [[[-1.0], [2.0], [0.5]], [[1, 0], [0, 1], [0, 1]]])
def test_two_classes_are_confused_alike_with_one_output_or_two(outputs: list[list[float]]) -> None:
    observed = Observations(np.array([0, 0, 1]), np.array(outputs, np.float32), "logits")
    assert confusion_counts(CLASSIFICATION, observed, 2) == ((1, 1), (0, 1))


def test_only_classes_are_confused() -> None:
    observed = Observations(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32), "values")
    assert confusion_counts(TASKS["regression"], observed, 1) == ()
