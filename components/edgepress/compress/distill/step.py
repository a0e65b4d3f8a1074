"""The distill stage: the first of every recipe."""

from pathlib import Path

from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.stages import DistillSettings
from edgepress.stages.stage import StageInput, StageResult, run_stage
from edgepress.task import task


@task("distill")
def distill(
    *,
    recipe: str,
    settings: DistillSettings | None,
    candidate: Path,
    dataset: DatasetAddress,
    output: Path,
    state: str = "",
) -> None:
    """Train a student on the baseline's soft targets. Without settings the baseline passes through as the recipe's candidate.

    Args:
        recipe: name of the recipe.
        settings: student, temperature, alpha and training; none passes the candidate through.
        candidate: directory of the baseline, which teaches.
        dataset: dataset directory, or its address in an object store.
        output: the candidate directory to write; must not exist.
        state: folder or s3://bucket/prefix for checkpoints, so that a killed training goes on; empty keeps none.
    """

    def apply(given: StageInput) -> StageResult:
        assert settings is not None
        from edgepress.compress.distill.distillation import distill_candidate

        return distill_candidate(given, settings)

    run_stage(
        stage="distill", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply, state=state
    )
