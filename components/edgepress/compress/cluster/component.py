"""KFP declaration of the cluster stage."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def cluster(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """Make weights share a few values, while training. Settings of null pass the candidate through."""
    from pathlib import Path

    from edgepress.compress.cluster.step import cluster
    from edgepress.contracts.stages import ClusterSettings
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    run = enter_run(context)
    cluster(
        recipe=recipe,
        settings=ClusterSettings.parse_optional(read_settings(settings)),
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(output.path),
        state=run.state(recipe, "cluster"),
    )
