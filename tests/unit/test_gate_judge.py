import json
from dataclasses import replace
from typing import Any

import pytest

from edgepress.contracts.candidate import CandidateRecord, Failure
from edgepress.contracts.evaluation import OpenedEvaluation
from edgepress.contracts.nomination import Nomination
from edgepress.contracts.policy import GateSettings, policy_digest
from edgepress.contracts.verdict import CandidateVerdict, HardwareStatement, Verdict
from edgepress.device.digest import digest_bytes
from edgepress.gate.judge import Evidence, judge_nominee
from edgepress.gate.measurement import FoundModel
from edgepress.tasks.registry import TASKS, metrics_of
from tests.unit.sample_run import BASELINE_MODEL, DATASET_DIGEST, MODELS, POLICY, benchmark_of, opened_evaluation_of, tflite_of

INT8 = MODELS[1]
DIGEST = digest_bytes(tflite_of(INT8))
OTHER = digest_bytes(b"other")


def changed(evaluation: OpenedEvaluation, **change: object) -> OpenedEvaluation:
    return replace(evaluation, record=evaluation.record.model_copy(update=change))


def evidence(policy: GateSettings = POLICY) -> Evidence:
    benchmark = benchmark_of([BASELINE_MODEL, INT8])
    return Evidence(
        nomination=Nomination(
            nominee="int8",
            nominee_artifacts={"tflite": DIGEST},
            baseline_artifacts={"tflite": digest_bytes(tflite_of(BASELINE_MODEL))},
            dataset_digest=DATASET_DIGEST,
            policy_digest=policy_digest(policy),
            hardware=HardwareStatement.of(benchmark.hardware),
            candidates=(CandidateVerdict(recipe="int8", outcome="nominated", model_digest=DIGEST, reasons=(), metrics={}),),
        ),
        nominee=FoundModel(
            record=CandidateRecord(recipe="int8", dataset_digest=DATASET_DIGEST, artifacts={"tflite": DIGEST}), artifacts={"tflite": DIGEST}
        ),
        nominee_evaluation=changed(opened_evaluation_of(INT8, "test"), recipe="nominee"),
        baseline_evaluation=opened_evaluation_of(BASELINE_MODEL, "test"),
        benchmark=benchmark,
    )


def judge(given: Evidence, policy: GateSettings = POLICY) -> Verdict:
    return judge_nominee(policy, given, test_split_uses=3)


def keys_of(value: Any, prefix: str = "") -> set[str]:
    """Every key of nested JSON as a path; a list counts as its items."""
    if isinstance(value, dict):
        return {path for key, item in value.items() for path in ({f"{prefix}{key}"} | keys_of(item, f"{prefix}{key}."))}
    if isinstance(value, list):
        return {path for item in value for path in keys_of(item, prefix)}
    return set()


def test_verdict_has_the_fixed_format() -> None:
    expected = {
        *("schema_version", "outcome", "task", "nominee", "dataset_digest", "test_split_uses", "champion"),
        *("hardware", "hardware.class", "hardware.cpu", "hardware.runtime", "hardware.threads"),
        *("candidates", "candidates.recipe", "candidates.outcome", "candidates.model_digest", "candidates.reasons", "candidates.metrics"),
        *("targets", "targets.channel", "targets.artifact", "targets.digest", "targets.policy_digest", "targets.outcome"),
        *("targets.policy", "targets.policy.objective", "targets.policy.accuracy", "targets.policy.accuracy.min"),
        *("targets.policy.accuracy.max_drop", "targets.policy.latency_p50_ms", "targets.policy.latency_p50_ms.max_ratio"),
        *("targets.policy.size_gzip_bytes", "targets.policy.size_gzip_bytes.max_ratio"),
        *("targets.metrics", "targets.checks", "targets.checks.name", "targets.checks.observed", "targets.checks.interval"),
        *("targets.checks.threshold", "targets.checks.outcome", "targets.checks.reason", "baseline", "baseline.metrics"),
    }
    metrics = {metric.name for metric in metrics_of(TASKS["classification"])}
    expected |= {f"{owner}.metrics.{metric}" for owner in ("targets", "baseline") for metric in metrics}
    assert keys_of(judge(evidence()).model_dump(mode="json")) == expected


def test_pass() -> None:
    verdict = judge(evidence())
    plain = json.loads(verdict.model_dump_json())
    assert plain["outcome"] == "passed"
    assert plain["nominee"] == "int8"
    assert plain["dataset_digest"] == DATASET_DIGEST
    assert plain["test_split_uses"] == 3
    assert plain["hardware"] == {"class": "x86-avx2", "cpu": "AMD EPYC 7763 (avx2, fma)", "runtime": "litert 2.3.0", "threads": 1}
    (target,) = plain["targets"]
    assert (target["channel"], target["artifact"], target["digest"]) == ("local", "tflite", DIGEST)
    assert target["policy_digest"] == policy_digest(POLICY)
    assert target["metrics"]["accuracy"] == INT8.test_accuracy  # test data, not validation
    assert target["metrics"]["accuracy_drop"] == round(BASELINE_MODEL.test_accuracy - INT8.test_accuracy, 12)
    assert [check["name"] for check in target["checks"]] == [
        "accuracy.min",
        "accuracy.max_drop",
        "size_gzip_bytes.max_ratio",
        "latency_p50_ms.max_ratio",
    ]
    assert plain["baseline"]["metrics"]["accuracy"] == BASELINE_MODEL.test_accuracy
    assert plain["champion"] is None
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_one_missed_threshold_rejects() -> None:
    policy = GateSettings.model_validate_json('{"accuracy": {"min": 0.9}, "size_bytes": {"max": 90000}}')
    verdict = judge(evidence(policy), policy)
    assert verdict.outcome == "rejected"
    assert [check.outcome for check in verdict.targets[0].checks] == ["passed", "rejected"]


def test_no_threshold_rejects() -> None:
    policy = GateSettings()
    verdict = judge(evidence(policy), policy)
    assert verdict.outcome == "rejected"
    assert [check.reason for check in verdict.targets[0].checks] == ["the policy has no threshold"]


def test_nobody_nominated_rejects_without_a_target() -> None:
    given = evidence()
    verdict = judge(replace(given, nomination=given.nomination.model_copy(update={"nominee": None, "nominee_artifacts": {}})))
    assert (verdict.outcome, verdict.nominee, verdict.targets) == ("rejected", None, ())
    assert verdict.baseline.metrics["accuracy"] == BASELINE_MODEL.test_accuracy


def evaluated(part: str, **change: object) -> Evidence:
    given = evidence()
    match part:
        case "nominee":
            return replace(given, nominee_evaluation=changed(given.nominee_evaluation, **change))
        case "baseline":
            return replace(given, baseline_evaluation=changed(given.baseline_evaluation, **change))
        case "nomination":
            return replace(given, nomination=given.nomination.model_copy(update=change))
    raise AssertionError(part)


FAILURE = Failure(stage="evaluate", reason="the interpreter refused it")
FAULTS = {
    "evaluation of another file": (evaluated("nominee", model_digest=OTHER), [OTHER, DIGEST]),
    "evaluation of another dataset": (evaluated("nominee", dataset_digest=OTHER), [OTHER, DATASET_DIGEST]),
    "evaluation of validation data": (evaluated("nominee", split="validation"), ["validation split", "test split"]),
    "evaluation failed": (evaluated("nominee", failure=FAILURE), ["the interpreter refused it"]),
    "evaluation is empty": (evaluated("nominee", metrics={}), ["no metrics"]),
    "accuracy edited": (evaluated("nominee", metrics={"accuracy": 0.999}), ["its accuracy is 0.999, but its scores give 0.918"]),
    "baseline's accuracy edited": (
        evaluated("baseline", metrics={"accuracy": 0.5}),
        ["the baseline cannot be compared with: the evaluation contradicts itself: its accuracy is 0.5, but its scores give 0.9179"],
    ),
    "another file than nominated": (evaluated("nomination", nominee_artifacts={"tflite": OTHER}), [OTHER, DIGEST]),
    "another recipe than nominated": (evaluated("nomination", nominee="float16"), ["float16", "int8"]),
    "another policy": (evaluated("nomination", policy_digest=OTHER), [OTHER, policy_digest(POLICY)]),
    "another baseline": (evaluated("nomination", baseline_artifacts={"tflite": OTHER}), [OTHER, digest_bytes(tflite_of(BASELINE_MODEL))]),
    "no baseline file": (evaluated("nomination", baseline_artifacts={}), ["None"]),
    "baseline on validation data": (evaluated("baseline", split="validation"), ["validation split"]),
    "baseline of another dataset": (evaluated("baseline", dataset_digest=OTHER), [OTHER]),
    "baseline failed": (evaluated("baseline", failure=FAILURE), ["the baseline failed"]),
    "baseline is somebody else": (evaluated("baseline", recipe="int8"), ["not of the baseline"]),
    "file swapped": (replace(evidence(), nominee=FoundModel(evidence().nominee.record, {"tflite": OTHER})), [OTHER, DIGEST]),
    "file gone": (replace(evidence(), nominee=FoundModel(evidence().nominee.record, {})), ["there is no tflite file"]),
    "another artifact beside it": (
        replace(evidence(), nominee=FoundModel(evidence().nominee.record, {"tflite": DIGEST, "saved_model": OTHER})),
        [f"saved_model has digest {OTHER}"],
    ),
    "evaluation of other examples": (evaluated("nominee", split_digest=OTHER), [OTHER]),
    "evaluation of another artifact": (evaluated("nominee", artifact="saved_model"), ["saved_model"]),
    "nominee not benchmarked": (replace(evidence(), benchmark=benchmark_of([BASELINE_MODEL])), ["0 times"]),
    "baseline not benchmarked": (replace(evidence(), benchmark=benchmark_of([INT8])), ["measured nothing as the baseline"]),
    "benchmarked twice": (replace(evidence(), benchmark=benchmark_of([BASELINE_MODEL, INT8, INT8])), ["2 times"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_evidence_that_does_not_fit_rejects(fault: str) -> None:
    given, named = FAULTS[fault]
    verdict = judge(given)
    assert verdict.outcome == "rejected"
    (target,) = verdict.targets
    assert target.outcome == "rejected"
    assert target.metrics == {}
    reasons = " ".join(check.reason for check in target.checks)
    assert all(name in reasons for name in named), reasons
    Verdict.model_validate_json(verdict.model_dump_json())
