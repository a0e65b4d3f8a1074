"""KFP declaration of ingest."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def ingest(context: str, settings: str) -> str:
    """Read the source into a dataset directory; gives its address.

    The address is made of the content's digest, and tasks take it as a parameter, because KFP's cache compares parameters by value but
    artifacts by their path (on a laptop) or by an identifier (on a cluster) that is new in each run when the task before is never cached.
    Nor does a task that only passes a candidate on download the data, as it would an input artifact.
    """
    from edgepress.contracts.config import DatasetSettings
    from edgepress.ingest.step import ingest
    from edgepress.task import enter_run

    run = enter_run(context)
    return ingest(settings=DatasetSettings.model_validate_json(settings), root=run.datasets).address
