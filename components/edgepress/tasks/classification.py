"""Classification: one class of several for each example; two classes may share a single output."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgepress.tasks import comparisons as beside
from edgepress.tasks.metric import Metric
from edgepress.tasks.observations import Observations, OutputMeaning
from edgepress.tasks.ranking import auc
from edgepress.tasks.task import LearningTask, Scored, disagreement, worst_slice

CALIBRATION_BINS = 15


def decide(outputs: NDArray[np.float32], meaning: OutputMeaning) -> NDArray[np.int64]:
    """The predicted class of each example, int64 [n]: the largest output, or, of a single one, whether it speaks for the second class."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > (0.0 if meaning == "logits" else 0.5)).astype(np.int64)
    return outputs.argmax(axis=1).astype(np.int64)


def class_probabilities(outputs: NDArray[np.float32], meaning: OutputMeaning) -> NDArray[np.float64]:
    """Probabilities of all classes, float64 [n, classes]: a softmax of logits, a sigmoid of a single one."""
    values = outputs.astype(np.float64)
    if values.shape[1] == 1:
        second = 1.0 / (1.0 + np.exp(-np.clip(values, -500.0, 500.0))) if meaning == "logits" else values
        return np.concatenate([1.0 - second, second], axis=1)
    if meaning == "probabilities":
        return values
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def confusion(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts, int64 [classes, classes] as [label][predicted]."""
    counts: NDArray[np.int64] = np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)
    return counts


def _confusion_of(observed: Observations) -> NDArray[np.int64]:
    return confusion(observed.labels, decide(observed.outputs, observed.meaning), max(2, observed.outputs.shape[1]))


def _accuracy(observed: Observations) -> float:
    return int(np.count_nonzero(observed.labels == decide(observed.outputs, observed.meaning))) / len(observed)


def _macro_f1(observed: Observations) -> float:
    return macro_f1(_confusion_of(observed))


def macro_f1(counts: NDArray[np.int64]) -> float:
    """Of a confusion: the mean over classes that occur, as a label or predicted, of 2 TP / (2 TP + FP + FN)."""
    seen = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2.0 * np.diag(counts)[seen > 0] / seen[seen > 0]))


def _worst_class_recall(observed: Observations) -> float:
    return worst_class_recall(_confusion_of(observed))


def worst_class_recall(counts: NDArray[np.int64]) -> float:
    """Of a confusion: the lowest recall of a class that has examples."""
    examples = counts.sum(axis=1)
    return float(np.min(np.diag(counts)[examples > 0] / examples[examples > 0]))


def _auc(observed: Observations) -> float | None:
    """One class against the rest, the mean over classes that have examples and lack some; of two classes it is the ordinary one."""
    probabilities = class_probabilities(observed.outputs, observed.meaning)
    first = 1 if probabilities.shape[1] == 2 else 0
    areas = [auc(probabilities[:, index], observed.labels == index) for index in range(first, probabilities.shape[1])]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else None


def _calibration_error(observed: Observations) -> float:
    """Expected calibration error over 15 bins of equal width (Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599)."""
    probabilities = class_probabilities(observed.outputs, observed.meaning)
    confidence = probabilities.max(axis=1)
    right = observed.labels == probabilities.argmax(axis=1)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, right.astype(np.float64) - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(observed))


ACCURACY = Metric("accuracy", "accuracy", "ratio", "higher", "examples", _accuracy)
MACRO_F1 = Metric("macro_f1", "macro F1", "ratio", "higher", "examples", _macro_f1)
WORST_CLASS_RECALL = Metric("worst_class_recall", "recall of the worst class", "ratio", "higher", "examples", _worst_class_recall)
WORST_SLICE_ACCURACY = Metric(
    "worst_slice_accuracy", "accuracy of the worst slice", "ratio", "higher", "examples", lambda observed: worst_slice(ACCURACY, observed)
)
AUC = Metric("auc", "AUC", "ratio", "higher", "examples", _auc)
CALIBRATION_ERROR = Metric(
    "calibration_error",
    "calibration error",
    "ratio",
    "lower",
    "examples",
    _calibration_error,
    range=(0.0, math.inf),  # a model's "probabilities" are what it gives, and an adopted one may give anything
)


class Classification(LearningTask):
    """Labels are indices into class names. The score of an example is 1 where the prediction is right and 0 where it is wrong."""

    name = "classification"
    title = "classification"
    label_dtype = np.dtype(np.int64)
    split_strategies = ("stratified", "random", "group", "time")
    loss = "cross_entropy"
    meanings = ("logits", "probabilities")
    selecting = ACCURACY
    metrics = (ACCURACY, MACRO_F1, WORST_CLASS_RECALL, WORST_SLICE_ACCURACY, AUC, CALIBRATION_ERROR)
    comparisons = (beside.AGREEMENT, beside.REGRESSIONS, beside.CORRECTIONS, beside.ACCURACY_DROP)
    score_title = "right (1) or wrong (0)"

    def label_shape(self, names: tuple[str, ...]) -> tuple[int, ...]:  # noqa: ARG002
        return ()

    def output_shapes(self, names: tuple[str, ...], inputs: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        return ((len(names),), (1,)) if len(names) == 2 else ((len(names),),)

    def score(self, observed: Observations) -> NDArray[np.float64]:
        return (observed.labels == decide(observed.outputs, observed.meaning)).astype(np.float64)

    def find_disagreements(self, metrics: Mapping[str, float | None], scored: Scored, confusion: Sequence[Sequence[int]]) -> Iterator[str]:
        outputs, scores = scored.outputs, scored.scores
        if outputs.ndim != 2 or not np.isin(scores, (0.0, 1.0)).all():
            yield "it kept outputs that are of no classes, or scores other than 0 and 1"
            return
        right = int(np.count_nonzero(scores))
        yield from disagreement(metrics, ACCURACY, right / len(scores), "its scores")
        classes = max(2, outputs.shape[1])
        predicted = np.bincount(decide(outputs, scored.meaning), minlength=classes)
        counts = np.asarray([list(row) for row in confusion if len(row) == classes], dtype=np.int64)
        if counts.shape != (classes, classes) or not np.array_equal(counts.sum(axis=0), predicted):
            yield "its confusion does not count the classes that its outputs stand for"
        elif int(np.trace(counts)) != right:
            yield f"its confusion counts {int(np.trace(counts))} examples as right, but its scores {right}"
        else:
            yield from disagreement(metrics, MACRO_F1, macro_f1(counts), "its confusion")
            yield from disagreement(metrics, WORST_CLASS_RECALL, worst_class_recall(counts), "its confusion")

    def compare(self, outputs: Scored, reference: Scored) -> dict[str, float]:
        same = decide(outputs.outputs, outputs.meaning) == decide(reference.outputs, reference.meaning)
        return {
            beside.AGREEMENT.name: int(np.count_nonzero(same)) / len(same),
            beside.REGRESSIONS.name: int(np.count_nonzero((reference.scores == 1.0) & (outputs.scores == 0.0))),
            beside.CORRECTIONS.name: int(np.count_nonzero((reference.scores == 0.0) & (outputs.scores == 1.0))),
        }
