"""What every stage of a recipe shares: passing through, failing with a reason, and an output that is there whole or not at all.

Nothing here loads TensorFlow: most stages of most recipes only pass a candidate on.
"""

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from edgepress.contracts.candidate import (
    MODULE_NAME,
    RECORD_NAME,
    ArtifactKind,
    CandidateRecord,
    Failure,
    StageName,
    StageRecord,
    read_candidate,
    write_candidate,
)
from edgepress.contracts.dataset import DatasetAddress, DatasetDirectory
from edgepress.contracts.stages import STAGES
from edgepress.contracts.strict import StrictModel
from edgepress.device.digest import digest_tree
from edgepress.device.files import new_directory
from edgepress.errors import EdgePressError, IntegrityError, StageError, one_line
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import tell_candidate_failed
from edgepress.train.checkpoint import discard_states, training_key
from edgepress.train.told import tell_validation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageInput:
    """What a stage works on.

    Attributes:
        candidate: the directory of the stage before; read only.
        record: its record.
        dataset: the dataset that the candidate was made with.
        work: where the stage writes its model; renamed to the output afterwards. The user's module is there already.
        state: where its training keeps checkpoints, a folder or ``s3://bucket/prefix``; empty for nowhere.
        started_from: digest of what its training starts from: the candidate's files and the stage's settings.
    """

    candidate: Path
    record: CandidateRecord
    dataset: DatasetDirectory
    work: Path
    state: str
    started_from: str


@dataclass(frozen=True)
class StageResult:
    """What a stage did, for its record.

    Attributes:
        facts: what was measured; units in the names.
        curves: per-epoch values.
        artifacts: what the stage made that can be shipped, kind -> digest.
    """

    facts: dict[str, JsonValue]
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    artifacts: Mapping[ArtifactKind, str] = field(default_factory=dict)


def run_stage(
    *,
    stage: StageName,
    recipe: str,
    settings: StrictModel | None,
    candidate: Path,
    dataset: DatasetAddress,
    output: Path,
    apply: Callable[[StageInput], StageResult],
    state: str = "",
) -> None:
    """Run one stage from candidate directory to candidate directory.

    A candidate that failed before, or a recipe without settings for this stage, passes through. A ``StageError`` out of ``apply``
    makes a failed candidate with its sentence as the reason, and so does an error that nobody foresaw, with its traceback in the log: other
    recipes may do without what failed. EdgePress's other errors, and those of the machine (the system's, no memory, no space), would meet
    the next recipe as well or say nothing about this one: they propagate and leave no output. ``state`` is where a
    stage that trains keeps checkpoints; a folder is emptied of them when the output is there.

    Raises:
        IntegrityError: the candidate has no valid record, or was made with another dataset.
        DataError: ``dataset`` is not a dataset directory.
        StorageError: ``dataset`` cannot be fetched from its store.
        InputError: ``output`` holds something already.
    """
    record = read_candidate(candidate).model_copy(update={"recipe": recipe})
    with new_directory(output) as work:
        if record.failure is not None or settings is None:
            _carry_over(candidate, work)
            write_candidate(work, record)
            return
        opened = fetch_dataset(dataset)
        if opened.manifest.digest != record.dataset_digest:
            raise IntegrityError(
                f"{candidate / RECORD_NAME}: was made with dataset {record.dataset_digest}, but {dataset} is {opened.manifest.digest}; "
                "give the stage the dataset that trained the baseline"
            )
        if (candidate / MODULE_NAME).is_file():
            shutil.copyfile(candidate / MODULE_NAME, work / MODULE_NAME)
        started = time.monotonic()
        started_from = training_key(stage, settings.model_dump_json(), digest_tree(candidate))
        given = StageInput(candidate=candidate, record=record, dataset=opened, work=work, state=state, started_from=started_from)
        try:
            result = _foreseen(apply, given, stage)
        except StageError as error:
            _empty(work)
            tell_candidate_failed(str(error))
            write_candidate(work, record.model_copy(update={"failure": Failure(stage=stage, reason=str(error))}))
        else:
            if STAGES[stage].trains:
                tell_validation(opened.manifest.learning_task, result.facts)
            done = StageRecord(
                stage=stage,
                settings=settings.model_dump(mode="json"),
                facts=result.facts,
                curves=result.curves,
                duration_s=time.monotonic() - started,
            )
            artifacts = {**record.artifacts, **result.artifacts}
            write_candidate(work, record.model_copy(update={"trace": (*record.trace, done), "artifacts": artifacts}))
    discard_states(state)


def _foreseen(apply: Callable[[StageInput], StageResult], given: StageInput, stage: str) -> StageResult:
    """Apply a stage.

    Raises:
        StageError: it raised one, or what is neither an error of EdgePress's nor one of the machine.
    """
    try:
        return apply(given)
    except EdgePressError:
        raise
    except Exception as error:
        if _is_of_the_machine(error):
            raise
        logger.exception("%s failed in a way that was not foreseen", stage)
        message = one_line(error)[:300].encode(errors="replace").decode()
        raise StageError(f"{stage} failed unexpectedly ({type(error).__name__}: {message}); the task's log has the traceback") from error


def _is_of_the_machine(error: Exception) -> bool:
    """Whether the system, its memory or its space is what failed."""
    # TensorFlow has one error of its own for memory and space; h5py tells a full disk in the words of a RuntimeError.
    if isinstance(error, (OSError, MemoryError)) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return os.strerror(errno.ENOSPC) in str(error)


def _carry_over(source: Path, destination: Path) -> None:
    """Copy everything but the record. Copies, not links: nobody may change a candidate through another's files."""
    for entry in sorted(source.iterdir()):
        if entry.name == RECORD_NAME:
            continue
        if entry.is_dir():
            shutil.copytree(entry, destination / entry.name)
        else:
            shutil.copyfile(entry, destination / entry.name)


def _empty(directory: Path) -> None:
    """Remove what a failed stage may have left half-written."""
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
