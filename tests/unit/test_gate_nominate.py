import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.contracts.candidate import BASELINE, ArtifactKind, CandidateRecord, Failure
from edgepress.contracts.evaluation import OpenedEvaluation
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.thresholds import check_threshold, thresholds_of
from edgepress.contracts.verdict import CandidateVerdict
from edgepress.device.digest import digest_bytes
from edgepress.gate.measurement import FoundModel, Measurement, measure_baseline, measure_candidates
from edgepress.gate.nominate import Choice, choose_nominee
from edgepress.tasks.registry import TASKS
from tests.unit.sample_run import BASELINE_MODEL, DATASET_DIGEST, MODELS, POLICY, Model, benchmark_of, opened_evaluation_of, tflite_of

TASK = TASKS["classification"]
OTHER = digest_bytes(b"other")
INT8 = MODELS[1]


def changed(evaluation: OpenedEvaluation, **change: object) -> OpenedEvaluation:
    return replace(evaluation, record=evaluation.record.model_copy(update=change))


def found(model: Model) -> FoundModel:
    artifacts: dict[ArtifactKind, str] = {} if model.failure else {"tflite": digest_bytes(tflite_of(model))}
    return FoundModel(
        record=CandidateRecord(recipe=model.recipe, dataset_digest=DATASET_DIGEST, failure=model.failure, artifacts=artifacts),
        artifacts=artifacts,
    )


def choose(
    models: list[FoundModel], evaluations: list[OpenedEvaluation], policy: GateSettings = POLICY, benchmarked: tuple[Model, ...] = MODELS
) -> Choice:
    benchmark = benchmark_of([BASELINE_MODEL, *benchmarked])
    reference = opened_evaluation_of(BASELINE_MODEL, "validation")
    measured = measure_candidates(models, evaluations, benchmark, reference, split="validation", dataset_digest=DATASET_DIGEST)
    return choose_nominee(TASK, policy, measure_baseline(found(BASELINE_MODEL), reference, benchmark, "validation"), measured)


def only(choice: Choice) -> CandidateVerdict:
    (verdict,) = choice.candidates
    return verdict


def test_best_by_objective_among_the_eligible() -> None:
    choice = choose([found(model) for model in MODELS], [opened_evaluation_of(model, "validation") for model in MODELS])
    assert choice.nominee == "pruned-int8"
    assert [(verdict.recipe, verdict.outcome) for verdict in choice.candidates] == [
        ("pruned-int8", "nominated"),
        ("int8", "eligible"),
        ("qat-int8", "eligible"),
        ("student-int8", "ineligible"),
        ("float16", "ineligible"),
        ("hot-student", "failed"),
    ]
    assert choice.candidates[3].reasons == ("accuracy is 0.0348 below the baseline's, more than the largest drop 0.02",)
    assert choice.candidates[5].reasons == ("distill: the loss became NaN at epoch 3",)
    assert choice.candidates[5].metrics == {}
    assert choice.candidates[0].metrics["accuracy_drop"] == 0.0072


@pytest.mark.parametrize(("objective", "nominee"), [("accuracy", "qat-int8"), ("latency_p50_ms", "qat-int8"), ("size_bytes", "int8")])
def test_objective_chooses(objective: str, nominee: str) -> None:
    policy = POLICY.model_copy(update={"objective": objective})
    assert (
        choose([found(model) for model in MODELS], [opened_evaluation_of(model, "validation") for model in MODELS], policy).nominee
        == nominee
    )


def test_no_threshold_nominates_nobody() -> None:
    choice = choose([found(INT8)], [opened_evaluation_of(INT8, "validation")], GateSettings())
    assert choice.nominee is None
    assert only(choice).reasons == ("the policy has no threshold",)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_digest": OTHER}, [OTHER, digest_bytes(tflite_of(INT8))]),
        ({"dataset_digest": OTHER}, [OTHER, DATASET_DIGEST]),
        ({"split": "test"}, ["test split", "validation split"]),
        ({"metrics": {}}, ["no metrics"]),
        ({"metrics": {"accuracy": 0.999}}, ["accuracy is 0.999, but its scores give 0.9204"]),
        ({"examples": 3}, ["is of 3 examples, but kept 10000"]),
    ],
)
def test_evaluation_of_something_else_bars(change: dict[str, object], named: list[str]) -> None:
    verdict = only(choose([found(INT8)], [changed(opened_evaluation_of(INT8, "validation"), **change)]))
    assert verdict.outcome == "ineligible"
    assert all(name in " ".join(verdict.reasons) for name in named)
    assert verdict.metrics == {}  # figures of another file are not this candidate's


def test_file_that_is_not_the_recorded_one_bars() -> None:
    swapped = FoundModel(record=found(INT8).record, artifacts={"tflite": OTHER})
    verdict = only(choose([swapped], [opened_evaluation_of(INT8, "validation")]))
    assert verdict.outcome == "ineligible"
    assert f"its tflite has digest {OTHER}, but its record says {digest_bytes(tflite_of(INT8))}" in verdict.reasons
    assert verdict.model_digest == OTHER


def test_missing_file_bars() -> None:
    verdict = only(choose([FoundModel(record=found(INT8).record, artifacts={})], [opened_evaluation_of(INT8, "validation")]))
    assert verdict.outcome == "ineligible"
    assert "there is no tflite file" in verdict.reasons


def test_benchmark_of_another_file_bars() -> None:
    other = Model("int8", 0.9, 0.9, 1, 1, 0.1)
    verdict = only(choose([found(INT8)], [opened_evaluation_of(INT8, "validation")], benchmarked=(other,)))
    assert verdict.outcome == "ineligible"
    assert digest_bytes(tflite_of(other)) in verdict.reasons[0]
    assert digest_bytes(tflite_of(INT8)) in verdict.reasons[0]


@pytest.mark.parametrize("benchmarked", [(), (INT8, INT8)])
def test_not_benchmarked_exactly_once_bars(benchmarked: tuple[Model, ...]) -> None:
    verdict = only(choose([found(INT8)], [opened_evaluation_of(INT8, "validation")], benchmarked=benchmarked))
    assert verdict.outcome == "ineligible"
    assert verdict.reasons == (f"the benchmark measured it {len(benchmarked)} times, but must once",)


def test_duplicates_and_missing_records_bar() -> None:
    evaluation = opened_evaluation_of(INT8, "validation")
    assert only(choose([found(INT8)], [evaluation, evaluation])).reasons == ("int8 has 2 evaluations, but must have one",)
    assert only(choose([found(INT8), found(INT8)], [evaluation])).reasons == ("int8 has 2 candidates, but must have one",)
    assert only(choose([found(INT8)], [])).reasons == ("int8 has no evaluation",)
    assert only(choose([], [evaluation])).reasons == ("int8 has no candidate",)


def test_baseline_cannot_be_nominated() -> None:
    choice = choose([found(BASELINE_MODEL)], [opened_evaluation_of(BASELINE_MODEL, "validation")], benchmarked=())
    assert choice.nominee is None


def test_unusable_baseline_bars_everybody() -> None:
    reference = changed(opened_evaluation_of(BASELINE_MODEL, "validation"), model_digest=OTHER)
    benchmark = benchmark_of([BASELINE_MODEL, INT8])
    measured = measure_candidates(
        [found(INT8)], [opened_evaluation_of(INT8, "validation")], benchmark, reference, split="validation", dataset_digest=DATASET_DIGEST
    )
    policy = GateSettings.model_validate_json('{"accuracy": {"min": 0.1}}')
    choice = choose_nominee(TASK, policy, measure_baseline(found(BASELINE_MODEL), reference, benchmark, "validation"), measured)
    assert choice.nominee is None
    assert only(choice).reasons[0].startswith("the baseline cannot be compared with: ")


def measurement(recipe: str, **values: float | None) -> Measurement:
    """A measurement whose metrics were not validated, so that NaN gets in."""
    return Measurement(recipe, OTHER, None, (), dict(values))


def test_ties_are_broken_by_accuracy_then_name() -> None:
    policy = GateSettings.model_validate_json('{"accuracy": {"min": 0.5}, "objective": "size_gzip_bytes"}')
    baseline = measurement(BASELINE, accuracy=0.9, size_gzip_bytes=10)
    a, b, c = (measurement(name, accuracy=accuracy, size_gzip_bytes=5) for name, accuracy in (("a", 0.8), ("b", 0.85), ("c", 0.85)))
    assert choose_nominee(TASK, policy, baseline, [c, a, b]).nominee == "b"


def test_missing_objective_is_not_eligible() -> None:
    policy = GateSettings.model_validate_json('{"accuracy": {"min": 0.5}, "objective": "macs"}')
    choice = choose_nominee(TASK, policy, measurement(BASELINE, accuracy=0.9), [measurement("a", accuracy=0.8)])
    assert only(choice).reasons == ("the objective, multiply-accumulates, was not measured",)


BROKEN = st.sampled_from([None, math.nan, math.inf])
SHARES = BROKEN | st.floats(min_value=0.0, max_value=1.0)
COSTS = BROKEN | st.floats(min_value=0.01, max_value=10.0)
SIZES = BROKEN | st.integers(min_value=1, max_value=10)
MEASUREMENTS = st.lists(
    st.tuples(
        st.sampled_from([None, Failure(stage="prune", reason="diverged")]),
        st.sampled_from([(), ("a fault",)]),
        SHARES,
        SIZES,
        SIZES,
        COSTS,
        COSTS,
    ),
    max_size=6,
).map(
    lambda rows: [
        Measurement(
            recipe=f"r{index}",
            model_digest=OTHER,
            failure=failure,
            faults=faults,
            metrics={"accuracy": accuracy, "size_bytes": size, "size_gzip_bytes": gzip, "latency_p50_ms": p50, "latency_ratio": ratio},
        )
        for index, (failure, faults, accuracy, size, gzip, p50, ratio) in enumerate(rows)
    ]
)
BOUNDS = st.one_of(st.none(), st.floats(min_value=0.01, max_value=1.0))


@given(
    candidates=MEASUREMENTS,
    low=BOUNDS,
    drop=BOUNDS,
    p50=BOUNDS,
    ratio=BOUNDS,
    objective=st.sampled_from(["accuracy", "size_gzip_bytes"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=100)
def test_nominee_is_eligible_and_optimal_whatever_the_order(
    candidates: list[Measurement],
    low: float | None,
    drop: float | None,
    p50: float | None,
    ratio: float | None,
    objective: str,
    data: st.DataObject,
) -> None:
    policy = GateSettings.model_validate(
        {
            "objective": objective,
            "accuracy": {"min": low, "max_drop": drop},
            "latency_p50_ms": {"max": p50},
            "size_gzip_bytes": {"max_ratio": ratio},
        }
    )
    baseline = measurement(BASELINE, accuracy=0.9, size_bytes=10, size_gzip_bytes=10, latency_p50_ms=1.0, latency_p95_ms=1.0)
    choice = choose_nominee(TASK, policy, baseline, candidates)
    assert choose_nominee(TASK, policy, baseline, data.draw(st.permutations(candidates))) == choice
    by_name = {candidate.recipe: candidate for candidate in candidates}
    fit = {
        name
        for name, candidate in by_name.items()
        if candidate.failure is None
        and not candidate.faults
        and thresholds_of(policy)
        and all(check_threshold(threshold, candidate.metrics, baseline.metrics).outcome == "passed" for threshold in thresholds_of(policy))
        and (value := candidate.metrics[objective]) is not None
        and math.isfinite(value)
    }
    assert {verdict.recipe for verdict in choice.candidates if verdict.outcome in ("nominated", "eligible")} == fit
    assert (choice.nominee in fit) if fit else choice.nominee is None
    for verdict in choice.candidates:
        assert (verdict.outcome == "nominated") == (verdict.recipe == choice.nominee)
        assert bool(verdict.reasons) == (verdict.recipe not in fit)
        CandidateVerdict.model_validate_json(verdict.model_dump_json())
    if choice.nominee is not None:
        values = [value for name in fit if (value := by_name[name].metrics[objective]) is not None]
        assert by_name[choice.nominee].metrics[objective] == (max(values) if objective == "accuracy" else min(values))
