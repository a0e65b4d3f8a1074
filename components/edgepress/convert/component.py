"""KFP declaration of conversion."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def convert(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """Write the candidate's .tflite file and SavedModel."""
    from pathlib import Path

    from edgepress.contracts.stages import ConvertSettings
    from edgepress.convert.step import convert
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    enter_run(context)
    convert(
        recipe=recipe,
        settings=ConvertSettings.model_validate_json(read_settings(settings)),
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(output.path),
    )
