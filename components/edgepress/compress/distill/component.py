"""KFP declaration of the distill stage."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def distill(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """Train the recipe's student from the baseline's soft targets. Settings of null pass the candidate through."""
    from pathlib import Path

    from edgepress.compress.distill.step import distill
    from edgepress.contracts.stages import DistillSettings
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    run = enter_run(context)
    distill(
        recipe=recipe,
        settings=DistillSettings.parse_optional(read_settings(settings)),
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(output.path),
        state=run.state(recipe, "distill"),
    )
