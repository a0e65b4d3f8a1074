"""KFP declarations of the gate: nominate on validation data, judge on test data."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def nominate(
    context: str,
    policy: str,
    baseline: dsl.Input[dsl.Model],
    candidates: dsl.Input[list[dsl.Model]],
    baseline_evaluation: dsl.Input[dsl.Artifact],
    evaluations: dsl.Input[list[dsl.Artifact]],
    measurements: dsl.Input[dsl.Artifact],
    nomination: dsl.Output[dsl.Artifact],
    nominee: dsl.Output[dsl.Model],
) -> None:
    """Choose the best candidate within the policy's thresholds, on validation data."""
    from pathlib import Path

    from edgepress.contracts.policy import GateSettings
    from edgepress.gate.step import nominate
    from edgepress.task import enter_run

    enter_run(context)
    nominate(
        policy=GateSettings.model_validate_json(policy),
        baseline=Path(baseline.path),
        candidates=[Path(candidate.path) for candidate in candidates],
        baseline_evaluation=Path(baseline_evaluation.path),
        evaluations=[Path(evaluation.path) for evaluation in evaluations],
        benchmark=Path(measurements.path),
        output=Path(nomination.path),
        nominee=Path(nominee.path),
    )


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def judge(
    context: str,
    policy: str,
    run_id: str,
    nomination: dsl.Input[dsl.Artifact],
    nominee: dsl.Input[dsl.Model],
    nominee_evaluation: dsl.Input[dsl.Artifact],
    baseline_evaluation: dsl.Input[dsl.Artifact],
    measurements: dsl.Input[dsl.Artifact],
    verdict: dsl.Output[dsl.Artifact],
) -> str:
    """Hold the nominee's test metrics against the policy's thresholds; gives the outcome.

    Not a named output: the local runner resolves only ``Output`` in a condition.
    """
    from pathlib import Path

    from edgepress.contracts.policy import GateSettings
    from edgepress.gate.step import judge
    from edgepress.task import enter_run

    run = enter_run(context)
    return judge(
        policy=GateSettings.model_validate_json(policy),
        nomination=Path(nomination.path),
        nominee=Path(nominee.path),
        nominee_evaluation=Path(nominee_evaluation.path),
        baseline_evaluation=Path(baseline_evaluation.path),
        benchmark=Path(measurements.path),
        ledger=run.ledger,
        run_id=run_id,
        output=Path(verdict.path),
    )
