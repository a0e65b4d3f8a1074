"""A sample run taken through the gate and the report: what the report's tests look at."""

from collections.abc import Sequence
from pathlib import Path

from edgepress.contracts.candidate import Failure
from edgepress.contracts.evaluation import EVALUATION_NAME, Evaluation
from edgepress.contracts.json_file import write_json
from edgepress.contracts.nomination import read_nomination
from edgepress.contracts.policy import GateSettings
from edgepress.gate.step import judge, nominate
from edgepress.report.step import report
from tests.unit.sample_run import DATASET_DIGEST, MODELS, POLICY, SPLIT_DIGESTS, Model, SampleRun, build_run


def write_report(root: Path, models: Sequence[Model] = MODELS, policy: GateSettings = POLICY) -> Path:
    """Build a run below ``root`` and return its report's directory."""
    return report_run(build_run(root, models), root, policy=policy)


def report_run(
    run: SampleRun,
    root: Path,
    *,
    policy: GateSettings = POLICY,
    name: str = "fashion-mnist",
    run_id: str = "20261104-153012",
    output: Path | None = None,
    judged: bool = False,
    publish_to: str = "",
    fingerprint: str = "",
    source: str = "",
) -> Path:
    """Nominate, judge and report; with ``judged`` the first two have been done below ``root`` already."""
    if not judged:
        nominate(
            policy=policy,
            baseline=run.baseline,
            candidates=run.candidates,
            baseline_evaluation=run.baseline_evaluation,
            evaluations=run.evaluations,
            benchmark=run.benchmark,
            output=root / "nomination",
            nominee=root / "nominee",
        )
    nominee = read_nomination(root / "nomination").nominee
    tested = run.test_evaluations[nominee] if nominee is not None else _nothing_tested(root)
    if not judged:
        judge(
            policy=policy,
            nomination=root / "nomination",
            nominee=root / "nominee",
            nominee_evaluation=tested,
            baseline_evaluation=run.baseline_test_evaluation,
            benchmark=run.benchmark,
            ledger=str(root / "ledger"),
            run_id="run-1",
            output=root / "verdict",
        )
    report(
        name=name,
        run_id=run_id,
        policy=policy,
        verdict=root / "verdict",
        baseline=run.baseline,
        candidates=run.candidates,
        baseline_evaluation=run.baseline_evaluation,
        evaluations=run.evaluations,
        baseline_test_evaluation=run.baseline_test_evaluation,
        nominee_evaluation=tested,
        benchmark=run.benchmark,
        output=output or root / "report",
        publish_to=publish_to,
        fingerprint=fingerprint,
        source=source,
    )
    return output or root / "report"


def _nothing_tested(root: Path) -> Path:
    path = root / "test-nobody"
    path.mkdir(exist_ok=True)
    failure = Failure(stage="evaluate", reason="nothing was nominated")
    evaluation = Evaluation(
        recipe="none",
        artifact="tflite",
        task="classification",
        split="test",
        dataset_digest=DATASET_DIGEST,
        split_digest=SPLIT_DIGESTS["test"],
        failure=failure,
    )
    write_json(path / EVALUATION_NAME, evaluation)
    return path
