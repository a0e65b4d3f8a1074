"""KFP declaration of the quantize stage."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def quantize(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """Train with 8-bit quantization simulated. Settings of null pass the candidate through."""
    from pathlib import Path

    from edgepress.compress.quantize.step import quantize
    from edgepress.contracts.stages import QuantizeSettings
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    run = enter_run(context)
    quantize(
        recipe=recipe,
        settings=QuantizeSettings.parse_optional(read_settings(settings)),
        candidate=Path(candidate.path),
        dataset=dataset.metadata["address"],
        output=Path(output.path),
        state=run.state(recipe, "quantize"),
    )
