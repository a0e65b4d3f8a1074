"""The training step: a trained baseline, or an adopted one, as a candidate directory."""

import time
from pathlib import Path

from pydantic import JsonValue

from edgepress.contracts.candidate import MODULE_NAME, CandidateRecord, StageRecord, write_candidate
from edgepress.contracts.config import BaselineSettings
from edgepress.contracts.dataset import DatasetAddress
from edgepress.device.files import new_directory
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import task
from edgepress.train.told import tell_validation


@task("train")
def train(
    *,
    recipe: str,
    settings: BaselineSettings,
    dataset: DatasetAddress,
    output: Path,
    module_uri: str = "",
    module_digest: str = "",
    source_digest: str = "",
    state: str = "",
) -> None:
    """Train the baseline, or adopt a trained model as it is.

    Args:
        recipe: baseline; names the log.
        settings: the configuration's baseline.
        dataset: dataset directory, or its address in an object store.
        output: candidate directory to write; must not exist.
        module_uri: where the module that settings name was put, a file or s3://bucket/key; empty takes it from the settings' path.
        module_digest: digest that the module must have; empty asks for none.
        source_digest: digest that the adopted model must have; empty asks for none.
        state: folder or s3://bucket/prefix for checkpoints; a killed training goes on from there. A folder gets logs for TensorBoard,
            too. Empty keeps nothing.

    Raises:
        ModelError: the model, the user's module or the adopted file is wrong.
        ConfigError: a setting does not suit the dataset.
        DataError: the dataset's splits do not hold what its task needs.
        IntegrityError: the module or the adopted model is not the one that was digested.
        StorageError: an object store cannot be reached or refuses.
        StageError: the training diverges; there is then nothing to compress.
    """
    # TensorFlow takes seconds to import, and `--help` needs none.
    from edgepress.models.storage import save_model
    from edgepress.models.user_module import fetch_module
    from edgepress.train.baseline import adopt_baseline, train_baseline
    from edgepress.train.checkpoint import discard_states

    opened = fetch_dataset(dataset)
    with new_directory(output) as work:
        started = time.monotonic()
        if settings.module is not None:
            (work / MODULE_NAME).write_bytes(fetch_module(module_uri or settings.module, module_digest))
        if settings.from_ is not None:
            made = adopt_baseline(settings.from_, source_digest, opened)
        else:
            made = train_baseline(settings, opened, work / MODULE_NAME, state)
        tell_validation(opened.manifest.learning_task, made.facts)
        save_model(made.model, work)
        given: dict[str, JsonValue] = settings.model_dump(mode="json", by_alias=True)
        record = StageRecord(stage="train", settings=given, facts=made.facts, curves=made.curves, duration_s=time.monotonic() - started)
        write_candidate(work, CandidateRecord(recipe=recipe, dataset_digest=opened.manifest.digest, trace=(record,)))
    discard_states(state)
