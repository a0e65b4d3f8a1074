"""Hold the nominee's test metrics against the policy. Pure: no files, no clock."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgepress.contracts.candidate import BASELINE, JUDGED
from edgepress.contracts.evaluation import OpenedEvaluation
from edgepress.contracts.latency import Benchmark
from edgepress.contracts.measured import gather_metrics
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.nomination import Nomination
from edgepress.contracts.policy import GateSettings, policy_digest
from edgepress.contracts.thresholds import check_all, decide
from edgepress.contracts.verdict import Check, HardwareStatement, ModelMetrics, TargetVerdict, Verdict
from edgepress.gate.measurement import FoundModel, find_disagreements, find_faults

LOCAL_CHANNEL = "local"


@dataclass(frozen=True)
class Evidence:
    """What the judgement rests on; both evaluations are on the test split.

    Attributes:
        nominee: the candidate that was handed over as the nominee, whatever the nomination says.
    """

    nomination: Nomination
    nominee: FoundModel
    nominee_evaluation: OpenedEvaluation
    baseline_evaluation: OpenedEvaluation
    benchmark: Benchmark


def judge_nominee(policy: GateSettings, evidence: Evidence, *, test_split_uses: int) -> Verdict:
    """The verdict. It passes only when somebody was nominated, all evidence is of that very file, and every threshold holds."""
    nomination = evidence.nomination
    baseline_faults = tuple(_baseline_faults(evidence))
    baseline: Metrics = {} if baseline_faults else _metrics(evidence, BASELINE, evidence.baseline_evaluation)
    targets: tuple[TargetVerdict, ...] = ()
    if nomination.nominee is not None and JUDGED in nomination.nominee_artifacts:
        faults = (*_nominee_faults(policy, evidence, nomination.nominee), *baseline_faults)
        metrics: Metrics = {} if faults else _metrics(evidence, nomination.nominee, evidence.nominee_evaluation)
        checks = tuple(_fault_check(fault) for fault in faults) or check_all(policy, metrics, baseline)
        targets = (
            TargetVerdict(
                channel=LOCAL_CHANNEL,
                artifact=JUDGED,
                digest=evidence.nominee.judged_digest or nomination.nominee_artifacts[JUDGED],
                policy=policy,
                policy_digest=policy_digest(policy),
                outcome=decide(checks),
                metrics=metrics,
                checks=checks,
            ),
        )
    return Verdict(
        outcome="passed" if targets and all(target.outcome == "passed" for target in targets) else "rejected",
        task=evidence.baseline_evaluation.record.task,
        nominee=nomination.nominee,
        dataset_digest=nomination.dataset_digest,
        test_split_uses=test_split_uses,
        hardware=HardwareStatement.of(evidence.benchmark.hardware),
        candidates=nomination.candidates,
        targets=targets,
        baseline=ModelMetrics(metrics=baseline),
    )


def _metrics(evidence: Evidence, recipe: str, evaluation: OpenedEvaluation) -> Metrics:
    return gather_metrics(evaluation, evidence.benchmark.latency(recipe), evidence.baseline_evaluation)


def _nominee_faults(policy: GateSettings, evidence: Evidence, nominee: str) -> Iterator[str]:
    """The file's digest is the nominee's identity: an evaluation of it is the nominee's by whatever name it was asked for."""
    nomination, evaluation = evidence.nomination, evidence.nominee_evaluation
    if nomination.policy_digest != (judged := policy_digest(policy)):
        yield f"it was nominated under policy {nomination.policy_digest}, but is judged under {judged}"
    for failure in (evidence.nominee.record.failure, evaluation.record.failure):
        if failure is not None:
            yield f"the nominee failed in {failure.stage}: {failure.reason}"
            return
    if evidence.nominee.record.recipe != nominee:
        yield f"{nominee} was nominated, but the model handed over is {evidence.nominee.record.recipe}"
    for kind in sorted(nomination.nominee_artifacts.keys() | evidence.nominee.artifacts.keys()):
        nominated, found = nomination.nominee_artifacts.get(kind), evidence.nominee.artifacts.get(kind)
        if nominated != found:
            yield f"{kind} {nominated} was nominated, but the model handed over has {kind} {found}"
    latencies = [latency for latency in evidence.benchmark.models if latency.recipe == nominee]
    yield from find_faults(evidence.nominee, evaluation, latencies, split="test", dataset_digest=nomination.dataset_digest)
    own, other = evaluation.record, evidence.baseline_evaluation.record
    if (own.task, own.split_digest) != (other.task, other.split_digest):
        yield (
            f"the nominee was evaluated on examples {own.split_digest} as {own.task}, the baseline on {other.split_digest} as {other.task}"
        )


def _baseline_faults(evidence: Evidence) -> Iterator[str]:
    evaluation, nomination = evidence.baseline_evaluation.record, evidence.nomination
    baseline_digest = nomination.baseline_artifacts.get(JUDGED)
    if evaluation.failure is not None:
        yield f"the baseline failed in {evaluation.failure.stage}: {evaluation.failure.reason}"
        return
    if evaluation.recipe != BASELINE:
        yield f"the evaluation to compare with is of {evaluation.recipe}, not of the baseline"
    if evaluation.split != "test":
        yield f"the baseline's evaluation is of the {evaluation.split} split, but the test split is needed"
    if evaluation.dataset_digest != nomination.dataset_digest:
        yield f"the baseline's evaluation used dataset {evaluation.dataset_digest}, but this run's is {nomination.dataset_digest}"
    if baseline_digest is None or evaluation.model_digest != baseline_digest:
        yield f"the baseline's evaluation measured digest {evaluation.model_digest}, but the baseline has {baseline_digest}"
    yield from (f"the baseline cannot be compared with: {fault}" for fault in find_disagreements(evidence.baseline_evaluation))
    measured = [latency.model_digest for latency in evidence.benchmark.models if latency.recipe == BASELINE]
    if measured != [baseline_digest]:
        seen = ", ".join(measured) or "nothing"
        yield f"the benchmark measured {seen} as the baseline, but the baseline has digest {baseline_digest}"


def _fault_check(fault: str) -> Check:
    return Check(name="integrity", observed=None, threshold=None, outcome="rejected", reason=fault)
