"""The candidate directory: what a recipe has produced so far, handed from stage to stage.

    candidate.json     the record below
    model.h5           Keras 2 model, wrappers stripped (QAT models keep their quantize layers)
    module.py          the user's module, when there is one; later stages need its objects to load the model
    model.tflite       after convert: the artifact ``tflite``
    saved_model/       after convert: the artifact ``saved_model``

A stage reads one candidate directory and writes another. It never changes the one it was given.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import JsonValue, ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.json_file import write_json
from edgepress.contracts.stages import STAGES
from edgepress.contracts.strict import OneOf, StrictModel
from edgepress.errors import IntegrityError

RECORD_NAME = "candidate.json"
KERAS_NAME = "model.h5"
TFLITE_NAME = "model.tflite"
SAVED_MODEL_NAME = "saved_model"
MODULE_NAME = "module.py"
BASELINE = "baseline"

ArtifactKind = Literal["tflite", "saved_model"]
"""What can be shipped: each is a program of its own, with a runtime of its own."""

JUDGED: ArtifactKind = "tflite"
"""The kind that is evaluated, benchmarked and judged."""

ARTIFACT_PATHS: dict[ArtifactKind, str] = {"tflite": TFLITE_NAME, "saved_model": SAVED_MODEL_NAME}
"""Where each kind stands in a candidate directory and in a bundle: a file, or a directory."""

StageName = Annotated[str, OneOf(("train", *STAGES))]
"""What makes a candidate: the baseline's training, and the stages of a recipe."""


class StageRecord(StrictModel):
    """What one stage did. A stage that a recipe leaves out has no record.

    Attributes:
        settings: the stage's settings as given, defaults filled in.
        facts: what was measured, units in the names, e.g. ``{"sparsity": 0.5, "epochs_run": 4}``.
        curves: per-epoch values, e.g. ``{"loss": (...), "val_accuracy": (...)}``; empty when nothing was trained.
    """

    stage: StageName
    settings: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    curves: dict[str, tuple[float, ...]] = {}
    duration_s: float


class Failure(StrictModel):
    """Why a recipe went no further: the stage, and one sentence."""

    stage: Annotated[str, OneOf(("train", *STAGES, "evaluate"))]
    reason: str


class CandidateRecord(StrictModel):
    """What ``candidate.json`` holds. ``recipe`` is ``baseline`` for the baseline itself.

    Attributes:
        artifacts: kind -> digest, of a file or of a directory; empty before conversion.
    """

    schema_version: Literal[2] = 2
    recipe: str
    dataset_digest: Digest
    failure: Failure | None = None
    trace: tuple[StageRecord, ...] = ()
    artifacts: dict[ArtifactKind, Digest] = {}

    def stage(self, name: StageName) -> StageRecord | None:
        """The record of a stage that this candidate went through, or None."""
        return next((record for record in self.trace if record.stage == name), None)


def read_candidate(directory: Path) -> CandidateRecord:
    """Read a candidate directory's record.

    Raises:
        IntegrityError: there is no valid record.
    """
    path = directory / RECORD_NAME
    try:
        return CandidateRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path}: is not a candidate record of schema version 2; run the stage before it again") from error


def write_candidate(directory: Path, record: CandidateRecord) -> None:
    """Write a candidate directory's record: the last file a stage writes."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RECORD_NAME, record)
