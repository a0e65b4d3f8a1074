"""KFP declarations of evaluation, on validation data and on test data: of the baseline, a candidate or the nominee."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def evaluate(
    context: str,
    recipe: str,
    artifact: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure one artifact of a candidate on validation data."""
    from pathlib import Path

    from edgepress.evaluate.step import evaluate
    from edgepress.task import enter_run

    enter_run(context)
    evaluate(
        recipe=recipe,
        artifact=artifact,
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        split="validation",
        output=Path(evaluation.path),
    )


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def evaluate_test(
    context: str,
    recipe: str,
    artifact: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure one artifact of the baseline or the nominee on test data."""
    from pathlib import Path

    from edgepress.evaluate.step import evaluate_test
    from edgepress.task import enter_run

    enter_run(context)
    evaluate_test(
        recipe=recipe,
        artifact=artifact,
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(evaluation.path),
    )
