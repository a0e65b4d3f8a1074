"""KFP declaration of the report."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def report(
    context: str,
    run_id: str,
    policy: str,
    fingerprint: str,
    source: str,
    verdict: dsl.Input[dsl.Artifact],
    baseline: dsl.Input[dsl.Model],
    candidates: dsl.Input[list[dsl.Model]],
    baseline_evaluation: dsl.Input[dsl.Artifact],
    evaluations: dsl.Input[list[dsl.Artifact]],
    baseline_test_evaluation: dsl.Input[dsl.Artifact],
    nominee_evaluation: dsl.Input[dsl.Artifact],
    measurements: dsl.Input[dsl.Artifact],
    summary: dsl.Output[dsl.Artifact],
) -> None:
    """Write the verdict, the HTML report, the leaderboard and every model into one folder; on a cluster, publish it."""
    from pathlib import Path

    from edgepress.contracts.policy import GateSettings
    from edgepress.report.step import report
    from edgepress.task import enter_run

    run = enter_run(context)
    report(
        name=run.name,
        run_id=run_id,
        policy=GateSettings.model_validate_json(policy),
        verdict=Path(verdict.path),
        baseline=Path(baseline.path),
        candidates=[Path(candidate.path) for candidate in candidates],
        baseline_evaluation=Path(baseline_evaluation.path),
        evaluations=[Path(evaluation.path) for evaluation in evaluations],
        baseline_test_evaluation=Path(baseline_test_evaluation.path),
        nominee_evaluation=Path(nominee_evaluation.path),
        benchmark=Path(measurements.path),
        output=Path(summary.path),
        publish_to=run.object_storage,
        fingerprint=fingerprint,
        source=source,
    )
