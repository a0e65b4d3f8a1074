"""The training step: a trained baseline, or an adopted one, as a candidate directory."""

import time
from pathlib import Path

from pydantic import JsonValue

from edgepress.contracts.candidate import MODULE_NAME, CandidateRecord, StageRecord, write_candidate
from edgepress.contracts.config import BaselineSettings
from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.files import new_directory
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import task


@task("train")
def train(
    *,
    recipe: str,
    settings: BaselineSettings,
    dataset: DatasetAddress,
    output: Path,
    module_source: str = "",
    source_digest: str = "",
    state: str = "",
) -> None:
    """Train the baseline, or adopt a trained model as it is.

    Args:
        recipe: baseline; names the log.
        settings: the configuration's baseline.
        dataset: dataset directory, or its address in an object store.
        output: candidate directory to write; must not exist.
        module_source: text of the module that settings name; taken from the file itself when empty.
        source_digest: digest that the adopted model must have; empty asks for none.
        state: folder for checkpoints and TensorBoard logs; a killed training goes on from there. Empty keeps nothing.

    Raises:
        ModelError: the model, the user's module or the adopted file is wrong.
        ConfigError: a setting does not suit the dataset.
        IntegrityError: the adopted model is not the one that was digested.
        StageError: the training diverges; there is then nothing to compress.
    """
    # TensorFlow takes seconds to import, and `--help` needs none.
    from edgepress.models.storage import save_model
    from edgepress.train.baseline import adopt_baseline, read_module, train_baseline
    from edgepress.train.checkpoint import discard_state

    opened = fetch_dataset(dataset)
    with new_directory(output) as work:
        started = time.monotonic()
        if settings.module is not None:
            (work / MODULE_NAME).write_text(module_source or read_module(settings.module), encoding="utf-8")
        if settings.from_ is not None:
            made = adopt_baseline(settings.from_, source_digest, opened)
        else:
            made = train_baseline(settings, opened, work / MODULE_NAME, Path(state) if state else None)
        save_model(made.model, work)
        given: dict[str, JsonValue] = settings.model_dump(mode="json", by_alias=True)
        record = StageRecord(stage="train", settings=given, facts=made.facts, curves=made.curves, duration_s=time.monotonic() - started)
        write_candidate(work, CandidateRecord(recipe=recipe, dataset_digest=opened.manifest.digest, trace=(record,)))
    if state:
        discard_state(Path(state))
