"""Accuracy, confusion and comparison of classifiers, held against naive counting and against each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepress.tasks.classification import confusion
from edgepress.tasks.observations import Observations
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import Scored

CLASSES = 4
CLASSIFICATION = TASKS["classification"]
Labels = NDArray[np.int64]
triples = st.integers(1, 60).flatmap(
    lambda count: st.tuples(*[hnp.arrays(np.int64, count, elements=st.integers(0, CLASSES - 1)) for _ in range(3)])
)


def observe(labels: Labels, predictions: Labels) -> Observations:
    """Logits that speak for the predictions."""
    return Observations(labels=labels, outputs=np.eye(CLASSES, dtype=np.float32)[predictions], meaning="logits")


def scored(labels: Labels, predictions: Labels) -> Scored:
    observed = observe(labels, predictions)
    return Scored(observed.outputs, observed.meaning, CLASSIFICATION.score(observed))


def accuracy(labels: Labels, predictions: Labels) -> float:
    value = CLASSIFICATION.measure(observe(labels, predictions))["accuracy"]
    assert value is not None
    return value


@settings(deadline=None)
@given(triples)
def test_counts_are_those_of_a_loop(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, reference = arrays
    rows = list(zip(labels.tolist(), predictions.tolist(), reference.tolist(), strict=True))
    compared = CLASSIFICATION.compare(scored(labels, predictions), scored(labels, reference))
    assert accuracy(labels, predictions) == sum(label == guess for label, guess, _ in rows) / len(rows)
    assert compared == {
        "agreement": sum(guess == other for _, guess, other in rows) / len(rows),
        "regressions": sum(other == label != guess for label, guess, other in rows),
        "corrections": sum(guess == label != other for label, guess, other in rows),
    }


@settings(deadline=None)
@given(triples)
def test_change_in_accuracy_is_corrections_less_regressions(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, reference = arrays
    compared = CLASSIFICATION.compare(scored(labels, predictions), scored(labels, reference))
    gained = compared["corrections"] - compared["regressions"]
    assert round((accuracy(labels, predictions) - accuracy(labels, reference)) * len(labels)) == gained


@settings(deadline=None)
@given(triples)
def test_confusion_holds_every_example_once(arrays: tuple[Labels, Labels, Labels]) -> None:
    labels, predictions, _ = arrays
    counts = confusion(labels, predictions, CLASSES)
    assert counts.shape == (CLASSES, CLASSES)
    assert counts.sum(axis=1).tolist() == [int((labels == label).sum()) for label in range(CLASSES)]
    assert counts.sum(axis=0).tolist() == [int((predictions == label).sum()) for label in range(CLASSES)]
    assert counts.trace() / len(labels) == accuracy(labels, predictions)


def test_confusion_is_indexed_label_first() -> None:
    assert confusion(np.array([0, 0, 2]), np.array([1, 1, 0]), 3).tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
