"""Accuracy, slices, confusion and comparison, held against naive counting and against each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepress.evaluate.accuracy import accuracy, agreement, confusion, corrections, regressions, slice_accuracy

CLASSES = 4
Labels = NDArray[np.int64]
triples = st.integers(1, 60).flatmap(
    lambda count: st.tuples(*[hnp.arrays(np.int64, count, elements=st.integers(0, CLASSES - 1)) for _ in range(3)])
)


@settings(deadline=None)
@given(triples)
def test_counts_are_those_of_a_loop(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, reference = arrays
    rows = list(zip(labels.tolist(), predictions.tolist(), reference.tolist(), strict=True))
    assert accuracy(labels, predictions) == sum(label == guess for label, guess, _ in rows) / len(rows)
    assert agreement(predictions, reference) == sum(guess == other for _, guess, other in rows) / len(rows)
    assert regressions(labels, predictions, reference) == sum(other == label != guess for label, guess, other in rows)
    assert corrections(labels, predictions, reference) == sum(guess == label != other for label, guess, other in rows)


@settings(deadline=None)
@given(triples)
def test_change_in_accuracy_is_corrections_less_regressions(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, reference = arrays
    gained = corrections(labels, predictions, reference) - regressions(labels, predictions, reference)
    assert round((accuracy(labels, predictions) - accuracy(labels, reference)) * len(labels)) == gained


@settings(deadline=None)
@given(triples)
def test_confusion_holds_every_example_once(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, _ = arrays
    counts = np.array(confusion(labels, predictions, CLASSES))
    assert counts.shape == (CLASSES, CLASSES)
    assert counts.sum(axis=1).tolist() == [int((labels == label).sum()) for label in range(CLASSES)]
    assert counts.sum(axis=0).tolist() == [int((predictions == label).sum()) for label in range(CLASSES)]
    assert counts.trace() / len(labels) == accuracy(labels, predictions)


def test_confusion_is_indexed_label_first() -> None:
    assert confusion(np.array([0, 0, 2]), np.array([1, 1, 0]), 3) == ((0, 2, 0), (0, 0, 0), (1, 0, 0))


@settings(deadline=None)
@given(triples)
def test_slices_weighted_by_count_give_the_overall_accuracy(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, column = arrays
    slices = slice_accuracy(labels, predictions, {"site": column.astype(np.str_)})["site"]
    assert sum(metrics.count for metrics in slices.values()) == len(labels)
    assert round(sum(metrics.count * metrics.accuracy for metrics in slices.values())) == round(accuracy(labels, predictions) * len(labels))
    assert set(slices) == {str(value) for value in column}


def test_slices_of_a_worked_example() -> None:
    slices = slice_accuracy(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0]), {"site": np.array(["b", "a", "a", "b"])})
    assert {value: (metrics.count, metrics.accuracy) for value, metrics in slices["site"].items()} == {"a": (2, 0.5), "b": (2, 1.0)}
