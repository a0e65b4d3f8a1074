"""KFP declarations of evaluation: the baseline alone, a candidate against it, and the nominee on test data."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def evaluate_baseline(
    context: str,
    split: str,
    baseline: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure the baseline's .tflite on one split: what every candidate is compared with."""
    from pathlib import Path

    from edgepress.evaluate.step import evaluate, evaluate_test
    from edgepress.task import enter_run

    enter_run(context)
    step = evaluate_test if split == "test" else evaluate
    step(
        recipe="baseline",
        candidate=Path(baseline.path),
        dataset=dataset.metadata["address"],
        split=split,
        reference=None,
        output=Path(evaluation.path),
    )


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def evaluate(
    context: str,
    recipe: str,
    candidate: dsl.Input[dsl.Model],
    reference: dsl.Input[dsl.Artifact],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure a candidate's .tflite on validation data."""
    from pathlib import Path

    from edgepress.evaluate.step import evaluate
    from edgepress.task import enter_run

    enter_run(context)
    evaluate(
        recipe=recipe,
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        split="validation",
        reference=Path(reference.path),
        output=Path(evaluation.path),
    )


@dsl.component(base_image=images.EVALUATOR, install_kfp_package=False)
def evaluate_nominee(
    context: str,
    nominee: dsl.Input[dsl.Model],
    reference: dsl.Input[dsl.Artifact],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measure the nominee's .tflite on test data."""
    from pathlib import Path

    from edgepress.evaluate.step import evaluate_test
    from edgepress.task import enter_run

    enter_run(context)
    evaluate_test(
        recipe="nominee",
        candidate=Path(nominee.path),
        dataset=dataset.metadata["address"],
        split="test",
        reference=Path(reference.path),
        output=Path(evaluation.path),
    )
