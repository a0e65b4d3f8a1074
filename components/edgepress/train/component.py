"""KFP declaration of training."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def train(
    context: str,
    settings: str,
    module_uri: str,
    module_digest: str,
    source_digest: str,
    dataset: dsl.Input[dsl.Dataset],
    baseline: dsl.Output[dsl.Model],
) -> None:
    """Train the baseline, or adopt a trained model."""
    from pathlib import Path

    from edgepress.contracts.config import BaselineSettings
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run
    from edgepress.train.step import train

    run = enter_run(context)
    train(
        recipe="baseline",
        settings=BaselineSettings.model_validate_json(read_settings(settings)),
        dataset=dataset.metadata["address"],
        output=Path(baseline.path),
        module_uri=module_uri,
        module_digest=module_digest,
        source_digest=source_digest,
        state=run.state("baseline", "train"),
    )
