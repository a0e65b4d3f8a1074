"""KFP declaration of ingest."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def ingest(context: str, settings: str, root: str, dataset: dsl.Output[dsl.Dataset]) -> None:
    """Read the source into a dataset directory at an address made of its content, so that equal data keeps its address.

    ``root`` is the folder of all ingested data; empty for a folder of the run's own.
    """
    from pathlib import Path

    from edgepress.contracts.config import DatasetSettings
    from edgepress.ingest.step import ingest
    from edgepress.task import enter_run

    enter_run(context)
    ingested = ingest(settings=DatasetSettings.model_validate_json(settings), root=Path(root or dataset.path))
    dataset.uri = str(ingested.path)
    dataset.metadata["digest"] = ingested.digest
