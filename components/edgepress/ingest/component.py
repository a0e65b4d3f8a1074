"""KFP declarations of ingest, and of the dataset that it gives."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def ingest(context: str, settings: str, source: dsl.OutputPath(str)) -> str:  # type: ignore[valid-type]  # KFP's way to declare an output
    """Read the source into a dataset directory; gives its address, which is made of its content's digest, and what the source was."""
    from pathlib import Path

    from edgepress.contracts.config import DatasetSettings
    from edgepress.ingest.step import ingest
    from edgepress.storage.settings import read_settings
    from edgepress.task import enter_run

    run = enter_run(context)
    ingested = ingest(settings=DatasetSettings.model_validate_json(read_settings(settings)), root=run.datasets)
    Path(source).write_text(ingested.source_text)
    return ingested.address


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def pin_dataset(address: str, dataset: dsl.Output[dsl.Dataset]) -> None:
    """The dataset as an artifact that stays the same for as long as the address does. Holds the address; whoever needs the data opens it.

    KFP's cache compares artifacts by identity: on a cluster by a number, on a laptop by a path. What ingest itself could give would be new
    in every run, because ingest is never cached. This task is, by the address.
    """
    from pathlib import Path

    Path(dataset.path).write_text(address + "\n")
    dataset.metadata["address"] = address
    dataset.metadata["digest"] = "sha256:" + address.rstrip("/").rpartition("/")[2]
