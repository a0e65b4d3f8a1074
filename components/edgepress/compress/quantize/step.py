"""The quantize stage."""

from pathlib import Path

from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.stages import QuantizeSettings
from edgepress.stages.stage import StageInput, StageResult, run_stage
from edgepress.task import task


@task("quantize")
def quantize(
    *,
    recipe: str,
    settings: QuantizeSettings | None,
    candidate: Path,
    dataset: DatasetAddress,
    output: Path,
    state: str = "",
) -> None:
    """Train with 8-bit arithmetic simulated, so that the weights get used to it. Without settings the candidate passes through.

    Args:
        recipe: name of the recipe.
        settings: granularity and training; none passes the candidate through.
        candidate: directory of the stage before.
        dataset: dataset directory, or its address in an object store.
        output: the candidate directory to write; must not exist.
        state: folder or s3://bucket/prefix for checkpoints, so that a killed training goes on; empty keeps none.
    """

    def apply(given: StageInput) -> StageResult:
        assert settings is not None
        from edgepress.compress.quantize.quantization import quantize_candidate

        return quantize_candidate(given, settings)

    run_stage(
        stage="quantize", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply, state=state
    )
