"""The gate's two steps: nominate on validation data, then judge the nominee once on test data."""

import shutil
import time
from pathlib import Path

from edgepress.contracts.candidate import ARTIFACT_PATHS, JUDGED, ArtifactKind, CandidateRecord, Failure, read_candidate, write_candidate
from edgepress.contracts.evaluation import open_evaluation
from edgepress.contracts.json_file import write_json
from edgepress.contracts.latency import read_benchmark
from edgepress.contracts.nomination import NOMINATION_NAME, Nomination, read_nomination
from edgepress.contracts.policy import GateSettings, policy_digest
from edgepress.contracts.verdict import VERDICT_NAME, HardwareStatement, Outcome
from edgepress.device.digest import digest_file, digest_tree
from edgepress.device.files import new_directory
from edgepress.gate.figures import tell_candidates, tell_verdict
from edgepress.gate.judge import Evidence, judge_nominee
from edgepress.gate.ledger import count_uses, record_use
from edgepress.gate.measurement import FoundModel, measure_baseline, measure_candidates
from edgepress.gate.nominate import choose_nominee
from edgepress.task import task
from edgepress.tasks.registry import TASKS

NOBODY = "none"
"""Recipe of the failed candidate that stands in when nothing was nominated."""


@task("nominate")
def nominate(
    *,
    policy: GateSettings,
    baseline: Path,
    candidates: list[Path],
    baseline_evaluation: Path,
    evaluations: list[Path],
    benchmark: Path,
    output: Path,
    nominee: Path,
) -> None:
    """Choose the best candidate within the policy's thresholds, on validation data.

    Args:
        policy: thresholds that must all hold, and the objective that picks among those that hold them.
        baseline: the baseline's candidate directory, converted.
        candidates: a candidate directory of every recipe, in any order.
        baseline_evaluation: the baseline's evaluation directory on validation data.
        evaluations: an evaluation directory of every recipe on validation data, in any order.
        benchmark: the benchmark's directory, which measured the baseline and every candidate.
        output: directory to write ``nomination.json`` to; must not exist.
        nominee: candidate directory to write: a copy of the nominated one, or a failed one when nothing was; must not exist.

    Raises:
        IntegrityError: a record cannot be read.
    """
    measured = read_benchmark(benchmark)
    found_baseline = _find(baseline)
    found = [_find(candidate) for candidate in candidates]
    reference = open_evaluation(baseline_evaluation)
    dataset_digest = found_baseline.record.dataset_digest
    measurements = measure_candidates(
        found,
        [open_evaluation(evaluation) for evaluation in evaluations],
        measured,
        reference,
        split="validation",
        dataset_digest=dataset_digest,
    )
    found_reference = measure_baseline(found_baseline, reference, measured, "validation")
    choice = choose_nominee(TASKS[reference.record.task], policy, found_reference, measurements)
    chosen = next(((path, model) for path, model in zip(candidates, found, strict=True) if model.record.recipe == choice.nominee), None)
    nomination = Nomination(
        nominee=choice.nominee,
        nominee_artifacts=dict(chosen[1].artifacts) if chosen is not None else {},
        baseline_artifacts=dict(found_baseline.artifacts),
        dataset_digest=dataset_digest,
        policy_digest=policy_digest(policy),
        hardware=HardwareStatement.of(measured.hardware),
        candidates=choice.candidates,
    )
    with new_directory(nominee) as building:
        if chosen is None:
            failure = Failure(stage="evaluate", reason="nothing was nominated")
            write_candidate(building, CandidateRecord(recipe=NOBODY, dataset_digest=dataset_digest, failure=failure))
        else:
            shutil.copytree(chosen[0], building, dirs_exist_ok=True)
    with new_directory(output) as building:
        write_json(building / NOMINATION_NAME, nomination)
    tell_candidates(nomination, found_reference.metrics)
    print(_summarise(nomination))


@task("judge")
def judge(
    *,
    policy: GateSettings,
    nomination: Path,
    nominee: Path,
    nominee_evaluation: Path,
    baseline_evaluation: Path,
    benchmark: Path,
    ledger: str,
    run_id: str,
    output: Path,
) -> Outcome:
    """Hold the nominee's test metrics against the policy's thresholds and write the verdict; returns its outcome.

    Args:
        policy: the same thresholds as in nomination.
        nomination: the nomination's directory.
        nominee: the nominee's candidate directory.
        nominee_evaluation: the nominee's evaluation directory on test data.
        baseline_evaluation: the baseline's evaluation directory on test data.
        benchmark: the benchmark's directory.
        ledger: folder or s3://bucket/prefix that counts how often each test split was used; made when it does not exist.
        run_id: this run's name in the ledger.
        output: directory to write ``verdict.json`` to; must not exist.

    Raises:
        IntegrityError: a record is damaged, or the ledger is.
        StorageError: the ledger cannot be read or written.
    """
    evidence = Evidence(
        nomination=read_nomination(nomination),
        nominee=_find(nominee),
        nominee_evaluation=open_evaluation(nominee_evaluation),
        baseline_evaluation=open_evaluation(baseline_evaluation),
        benchmark=read_benchmark(benchmark),
    )
    nominated = evidence.nomination.nominee_artifacts.get(JUDGED)
    if nominated is None:
        uses = count_uses(ledger, evidence.baseline_evaluation.record.split_digest)
    else:  # counted before anything is decided, so that a killed judge has not looked for nothing
        split = evidence.nominee_evaluation.record.split_digest
        uses = record_use(ledger, split, run_id=run_id, nominee_digest=nominated, unix_time_s=time.time())
    verdict = judge_nominee(policy, evidence, test_split_uses=uses)
    with new_directory(output) as building:
        write_json(building / VERDICT_NAME, verdict)
    tell_verdict(verdict, time.time())
    return verdict.outcome


def _find(candidate: Path) -> FoundModel:
    found: dict[ArtifactKind, str] = {}
    for kind, name in ARTIFACT_PATHS.items():
        path = candidate / name
        if path.exists():
            found[kind] = digest_tree(path) if path.is_dir() else digest_file(path)
    return FoundModel(record=read_candidate(candidate), artifacts=found)


def _summarise(nomination: Nomination) -> str:
    lines = [
        f"{verdict.recipe}: {verdict.outcome}{''.join(f'; {reason}' for reason in verdict.reasons)}" for verdict in nomination.candidates
    ]
    return "\n".join(lines)
