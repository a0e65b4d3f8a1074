"""An evaluation's figures against what it kept of each example: whichever is edited alone is found."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgepress.tasks.classification import confusion
from edgepress.tasks.observations import Observations, OutputMeaning
from edgepress.tasks.registry import METRICS, TASKS
from edgepress.tasks.task import Scored

LABELS = np.random.default_rng(1).integers(0, 3, 200)
OUTPUTS = (np.eye(3)[LABELS] + np.random.default_rng(2).normal(0, 0.7, (200, 3))).astype(np.float32)
CLASSIFICATION = TASKS["classification"]
OBSERVED = Observations(labels=LABELS, outputs=OUTPUTS, meaning="logits")
METRICS_OF = CLASSIFICATION.measure(OBSERVED)
SCORED = Scored(OUTPUTS, "logits", CLASSIFICATION.score(OBSERVED))
COUNTS = confusion(LABELS, OUTPUTS.argmax(axis=1), 3)


def disagreements(metrics: dict[str, float | None], scored: Scored, counts: Sequence[Sequence[int]]) -> list[str]:
    return list(CLASSIFICATION.find_disagreements(metrics, scored, counts))


def moved(counts: np.ndarray, source: tuple[int, int], target: tuple[int, int]) -> list[list[int]]:
    changed = counts.copy()
    changed[source] -= 1
    changed[target] += 1
    plain: list[list[int]] = changed.tolist()
    return plain


def test_what_was_measured_agrees() -> None:
    assert disagreements(METRICS_OF, SCORED, COUNTS.tolist()) == []


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "worst_class_recall"])
def test_an_edited_figure_is_found(metric: str) -> None:
    (found,) = disagreements(METRICS_OF | {metric: 0.999}, SCORED, COUNTS.tolist())
    assert f"its {METRICS[metric].title} is 0.999, but its " in found


def test_edited_scores_are_found() -> None:
    better = np.ones_like(SCORED.scores)
    assert disagreements(METRICS_OF, replace(SCORED, scores=better), COUNTS.tolist())[0].endswith("but its scores give 1")
    found = disagreements(METRICS_OF | {"accuracy": 1.0}, replace(SCORED, scores=better), COUNTS.tolist())
    assert found == [f"its confusion counts {np.trace(COUNTS)} examples as right, but its scores 200"]
    assert "other than 0 and 1" in disagreements(METRICS_OF, replace(SCORED, scores=better * 0.9), COUNTS.tolist())[0]


@pytest.mark.parametrize(
    "counts",
    [[], [[1]], [[1, 2], [3]], np.diag(COUNTS.sum(axis=1)).tolist(), moved(COUNTS, (0, 1), (0, 0))],
    ids=["none", "one class", "ragged", "perfect", "one moved"],
)
def test_a_confusion_of_something_else_is_found(counts: list[list[int]]) -> None:
    assert disagreements(METRICS_OF, SCORED, counts) == ["its confusion does not count the classes that its outputs stand for"]


def test_a_confusion_that_moves_mistakes_between_labels_is_found() -> None:
    """Columns and diagonal stay as they are."""
    found = disagreements(METRICS_OF, SCORED, moved(COUNTS, (0, 1), (2, 1)))
    assert len(found) >= 1
    assert "but its confusion give" in found[0]


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_two_classes_may_share_an_output(meaning: OutputMeaning) -> None:
    labels, outputs = LABELS % 2, np.random.default_rng(3).uniform(0, 1, (200, 1)).astype(np.float32)
    observed = Observations(labels=labels, outputs=outputs, meaning=meaning)
    scored = Scored(outputs, meaning, CLASSIFICATION.score(observed))
    counts = confusion(labels, (outputs[:, 0] > (0.0 if meaning == "logits" else 0.5)).astype(np.int64), 2)
    assert disagreements(CLASSIFICATION.measure(observed), scored, counts.tolist()) == []


def test_a_regressions_error_is_that_of_its_scores() -> None:
    task = TASKS["regression"]
    labels = np.random.default_rng(4).normal(size=(50, 2)).astype(np.float32)
    observed = Observations(labels=labels, outputs=labels + np.float32(0.25), meaning="values")
    scored, metrics = Scored(observed.outputs, "values", task.score(observed)), task.measure(observed)
    assert list(task.find_disagreements(metrics, scored, ())) == []
    edited = metrics | {"mean_absolute_error": 0.01}
    assert list(task.find_disagreements(edited, scored, ())) == ["its mean absolute error is 0.01, but its scores give 0.25"]


@pytest.mark.parametrize(
    ("metric", "possible", "impossible"),
    [
        ("accuracy", (0.0, 1.0), (-0.1, 1.1, 7.5)),
        ("accuracy_drop", (-1.0, 1.0), (-1.1, 1.1)),
        ("r2", (-50.0, 1.0), (1.1,)),
        ("size_bytes", (1,), (0, -1, 10**400)),
        ("peak_memory_bytes", (0,), (-1,)),
        ("latency_ratio", (0.01, 900.0), (0.0, -1.0)),
        ("mean_absolute_error_rise", (-5.0, 5.0), (float("inf"), float("nan"))),
    ],
)
def test_a_metric_has_bounds(metric: str, possible: tuple[float, ...], impossible: tuple[float, ...]) -> None:
    assert [METRICS[metric].can_be(value) for value in (*possible, *impossible)] == [True] * len(possible) + [False] * len(impossible)
