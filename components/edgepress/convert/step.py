"""The convert stage: the last of every recipe, and of the baseline."""

from pathlib import Path

from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.stages import ConvertSettings
from edgepress.stages.stage import StageInput, StageResult, run_stage
from edgepress.task import task


@task("convert")
def convert(*, recipe: str, settings: ConvertSettings, candidate: Path, dataset: DatasetAddress, output: Path) -> None:
    """Write the candidate's .tflite file and SavedModel. A model that cannot be converted as asked becomes a failed candidate.

    Args:
        recipe: name of the recipe, or baseline.
        settings: quantization, types of input and output, representative dataset.
        candidate: directory of the stage before.
        dataset: dataset directory, or its address in an object store.
        output: the candidate directory to write; must not exist.
    """

    def apply(given: StageInput) -> StageResult:
        from edgepress.convert.conversion import convert_candidate

        return convert_candidate(given, settings)

    run_stage(stage="convert", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply)
