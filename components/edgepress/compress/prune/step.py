"""The prune stage."""

from pathlib import Path

from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.stages import PruneSettings
from edgepress.stages.stage import StageInput, StageResult, run_stage
from edgepress.task import task


@task("prune")
def prune(
    *,
    recipe: str,
    settings: PruneSettings | None,
    candidate: Path,
    dataset: DatasetAddress,
    output: Path,
    state: str = "",
) -> None:
    """Set small weights to zero on a schedule, while training. Without settings the candidate passes through.

    Args:
        recipe: name of the recipe.
        settings: schedule, sparsity and training; none passes the candidate through.
        candidate: directory of the stage before.
        dataset: dataset directory, or its address in an object store.
        output: the candidate directory to write; must not exist.
        state: folder or s3://bucket/prefix for checkpoints, so that a killed training goes on; empty keeps none.
    """

    def apply(given: StageInput) -> StageResult:
        assert settings is not None
        from edgepress.compress.prune.pruning import prune_candidate

        return prune_candidate(given, settings)

    run_stage(
        stage="prune", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply, state=state
    )
