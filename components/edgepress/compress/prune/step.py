"""The prune stage."""

from pathlib import Path

from edgepress.compress.stage import StageInput, StageResult, run_stage
from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.stages import PruneSettings
from edgepress.task import task


@task("prune")
def prune(*, recipe: str, settings: PruneSettings | None, candidate: Path, dataset: DatasetAddress, output: Path) -> None:
    """Set small weights to zero on a schedule, while training. Without settings the candidate passes through.

    Args:
        recipe: name of the recipe.
        settings: schedule, sparsity and training; none passes the candidate through.
        candidate: directory of the stage before.
        dataset: dataset directory, or its address in an object store.
        output: the candidate directory to write; must not exist.
    """

    def apply(given: StageInput) -> StageResult:
        assert settings is not None
        from edgepress.compress.prune.pruning import prune_candidate

        return prune_candidate(given, settings)

    run_stage(stage="prune", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply)
