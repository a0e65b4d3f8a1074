"""KFP declaration of the prune stage."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def prune(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """Set small weights to zero on a schedule, while training. Settings of null pass the candidate through."""
    from pathlib import Path

    from edgepress.compress.prune.step import prune
    from edgepress.contracts.stages import PruneSettings
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    run = enter_run(context)
    prune(
        recipe=recipe,
        settings=PruneSettings.parse_optional(read_settings(settings)),
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(output.path),
        state=run.state(recipe, "prune"),
    )
