"""Metrics against scikit-learn's, and what a task's declarations must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from edgepress.tasks.metric import Metric
from edgepress.tasks.observations import Observations, OutputMeaning
from edgepress.tasks.ranking import auc
from edgepress.tasks.registry import METRICS, TASKS, metrics_of
from edgepress.tasks.task import LearningTask, Scored

SEEDS = st.integers(0, 2**32 - 1)


def classified(seed: int, classes: int = 4, examples: int = 200, meaning: OutputMeaning = "logits") -> Observations:
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, examples - classes)])
    outputs = random.normal(size=(examples, classes)) + 1.5 * np.eye(classes)[labels]
    if meaning == "probabilities":
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    slices = {"site": random.choice(["a", "b"], examples).astype(np.str_)}
    return Observations(labels=labels, outputs=outputs.astype(np.float32), meaning=meaning, slices=slices)


@given(seed=SEEDS, meaning=st.sampled_from(["logits", "probabilities"]))
@settings(deadline=None, max_examples=30)
def test_classification_as_scikit_learn_measures_it(seed: int, meaning: OutputMeaning) -> None:
    observed = classified(seed, meaning=meaning)
    measured = TASKS["classification"].measure(observed)
    predicted = observed.outputs.argmax(axis=1)
    probabilities = np.exp(observed.outputs.astype(np.float64)) if meaning == "logits" else observed.outputs.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert measured["accuracy"] == pytest.approx(reference.accuracy_score(observed.labels, predicted))
    assert measured["macro_f1"] == pytest.approx(reference.f1_score(observed.labels, predicted, average="macro"))
    assert measured["worst_class_recall"] == pytest.approx(reference.recall_score(observed.labels, predicted, average=None).min())
    assert measured["auc"] == pytest.approx(reference.roc_auc_score(observed.labels, probabilities, multi_class="ovr"))
    sites = observed.slices["site"]
    by_site = [float(np.mean((predicted == observed.labels)[sites == site])) for site in np.unique(sites)]
    assert measured["worst_slice_accuracy"] == pytest.approx(min(by_site))


def test_calibration_error_by_hand() -> None:
    # Two bins are used: two examples at confidence 0.9, one of them right, and two at 0.6, both right.
    outputs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], np.float32)
    observed = Observations(labels=np.array([0, 1, 1, 1]), outputs=outputs, meaning="probabilities")
    assert TASKS["classification"].measure(observed)["calibration_error"] == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_two_classes_may_share_one_output(meaning: OutputMeaning) -> None:
    logits = np.array([[-2.0], [0.5], [3.0], [-0.1]], np.float32)
    outputs = logits if meaning == "logits" else 1.0 / (1.0 + np.exp(-logits))
    labels = np.array([0, 1, 0, 1])
    single = TASKS["classification"].measure(Observations(labels, outputs.astype(np.float32), meaning))
    pair = np.concatenate([np.zeros_like(logits), logits], axis=1)
    double = TASKS["classification"].measure(Observations(labels, pair, "logits"))
    assert {name: value for name, value in single.items() if value is not None} == pytest.approx(
        {name: value for name, value in double.items() if value is not None}
    )
    assert TASKS["classification"].output_shapes(("no", "yes"), {}) == ((2,), (1,))
    assert TASKS["classification"].output_shapes(("a", "b", "c"), {}) == ((3,),)


@given(seed=SEEDS, targets=st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_regression_as_scikit_learn_measures_it(seed: int, targets: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.normal(100.0, 30.0, (50, targets)).astype(np.float32)
    outputs = (labels + random.normal(0.0, 10.0, labels.shape)).astype(np.float32)
    observed = Observations(labels=labels, outputs=outputs, meaning="values")
    task = TASKS["regression"]
    measured = task.measure(observed)
    exact, predicted = labels.astype(np.float64), outputs.astype(np.float64)
    assert measured["mean_absolute_error"] == pytest.approx(reference.mean_absolute_error(exact, predicted))
    assert measured["root_mean_squared_error"] == pytest.approx(np.sqrt(reference.mean_squared_error(exact, predicted)))
    assert measured["r2"] == pytest.approx(reference.r2_score(exact, predicted))
    assert measured["worst_slice_mean_absolute_error"] is None
    assert task.score(observed).mean() == pytest.approx(measured["mean_absolute_error"])


def test_targets_that_do_not_vary_have_no_r2() -> None:
    observed = Observations(labels=np.ones((3, 1), np.float32), outputs=np.zeros((3, 1), np.float32), meaning="values")
    assert TASKS["regression"].measure(observed)["r2"] is None


@given(seed=SEEDS, levels=st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_auc_as_scikit_learn_measures_it_ties_included(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, levels, 60).astype(np.float64)
    positive = random.random(60) < 0.3
    positive[:2] = True, False
    assert auc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores))


def test_auc_needs_both_groups() -> None:
    assert auc(np.arange(3.0), np.ones(3, np.bool_)) is None


def test_what_is_reconstructed_badly_is_anomalous() -> None:
    inputs = {"image": np.arange(24, dtype=np.float32).reshape(4, 3, 2)}
    outputs = inputs["image"].copy()
    outputs[2:] += 1.0
    outputs[0] += 0.1
    observed = Observations(labels=np.array([0, 0, 1, 1]), outputs=outputs, meaning="reconstruction", inputs=inputs)
    task = TASKS["anomaly_detection"]
    assert task.score(observed) == pytest.approx([0.01, 0.0, 1.0, 1.0], abs=1e-5)
    measured = task.measure(observed)
    assert measured["auc"] == 1.0
    assert measured["normal_reconstruction_error"] == pytest.approx(0.005, abs=1e-5)
    assert task.output_shapes(("normal", "anomalous"), {"image": (3, 2)}) == ((3, 2),)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_model_beside_itself_differs_in_nothing(task: LearningTask) -> None:
    outputs = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    own = Scored(outputs, task.meanings[0], np.ones(5))
    compared = task.compare(own, own)
    assert set(compared) <= set(METRICS)
    for name, value in compared.items():
        assert value == (1.0 if name == "agreement" else 0.0)


def test_regressions_and_corrections_are_counted_apart() -> None:
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    model = Scored(np.array([right, wrong, right, right], np.float32), "logits", np.array([1.0, 0.0, 1.0, 1.0]))
    baseline = Scored(np.array([right, right, wrong, right], np.float32), "logits", np.array([1.0, 1.0, 0.0, 1.0]))
    compared = TASKS["classification"].compare(model, baseline)
    assert (compared["agreement"], compared["regressions"], compared["corrections"]) == (0.5, 1, 1)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_better_value_loses_less(metric: Metric) -> None:
    better, worse = (0.9, 0.8) if metric.direction == "higher" else (0.8, 0.9)
    assert metric.is_better(better, worse)
    assert not metric.is_better(worse, better)
    assert metric.loss(worse, better) == 0.1
    assert metric.loss(better, worse) == -0.1
    assert metric.loss(better, better) == 0.0


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_declares_what_it_measures(task: LearningTask) -> None:
    assert task.selecting in task.metrics
    assert all(metric.source == "examples" and metric.measure is not None for metric in task.metrics)
    assert {metric.name for metric in task.metrics} <= {metric.name for metric in metrics_of(task)}


def test_one_name_says_one_thing_whatever_the_task() -> None:
    for task in TASKS.values():
        for metric in task.metrics:
            known = METRICS[metric.name]
            assert (metric.title, metric.unit, metric.direction, metric.source) == (known.title, known.unit, known.direction, known.source)
