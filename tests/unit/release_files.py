"""A nominee, its verdict and its dataset, in directories, around the small ``.tflite`` files of ``tflite_files``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.contracts.candidate import SAVED_MODEL_NAME, TFLITE_NAME, StageRecord, read_candidate, write_candidate
from edgepress.contracts.json_file import write_json
from edgepress.contracts.release import ReleaseManifest
from edgepress.contracts.verdict import VERDICT_NAME, Verdict
from edgepress.device.digest import digest_file, digest_tree
from edgepress.release.bundle import build_bundle
from tests.unit.candidate_files import DATASET_DIGEST, write_dataset, write_model
from tests.unit.sample_verdict import verdict_of

RECIPE = "student-int8"
BUNDLE_FILES = [
    "golden/inputs.npz",
    "golden/tflite.npz",
    "model.tflite",
    "saved_model/saved_model.pb",
    "saved_model/variables/variables.data-00000-of-00001",
    "saved_model/variables/variables.index",
    "verdict.json",
]
"""What the bundle of a judged nominee holds beside its manifest."""

QUANTIZATION = {"conv_float32": "float32", "conv_float16": "float16", "conv_dynamic_range": "dynamic_range"}


@dataclass(frozen=True)
class Judged:
    """What the release step is given."""

    verdict: Path
    nominee: Path
    dataset: Path


def write_judged(folder: Path, model: str = "conv_int8", kind: str = "passed", *, padding_bytes: int = 100) -> Judged:
    """A judged nominee.

    Args:
        folder: an empty directory.
        model: a file of ``tflite_files`` by name without the suffix.
        kind: of verdict, see ``verdict_of``.
        padding_bytes: size of the SavedModel's variables; its content does not matter, for only TensorFlow Serving reads it.
    """
    images = np.random.default_rng(5).uniform(0, 1, (40, 8, 8, 1)).astype(np.float32)
    dataset = write_dataset(folder / "dataset", {"image": images}, np.arange(40, dtype=np.int64) % 4, 4, {})
    np.save(dataset / "test" / "inputs" / "image.npy", images + np.float32(1.0))  # told apart from the other splits
    nominee = write_model(folder / "nominee", RECIPE, model)
    variables = nominee / SAVED_MODEL_NAME / "variables"
    variables.mkdir(parents=True)
    (nominee / SAVED_MODEL_NAME / "saved_model.pb").write_bytes(b"graph")
    (variables / "variables.index").write_bytes(b"index")
    (variables / "variables.data-00000-of-00001").write_bytes(np.random.default_rng(6).bytes(padding_bytes))
    convert = StageRecord(
        stage="convert",
        settings={"quantization": QUANTIZATION.get(model, "int8"), "io": "int8"},
        facts={"size_bytes": 1234},
        curves={"loss": (1.0, 0.5)},
        duration_s=1.5,
    )
    record = read_candidate(nominee)
    artifacts = record.artifacts | {"saved_model": digest_tree(nominee / SAVED_MODEL_NAME)}
    write_candidate(nominee, record.model_copy(update={"trace": (convert,), "artifacts": artifacts}))
    verdict = folder / "verdict"
    verdict.mkdir()
    write_verdict(verdict, bind(verdict_of(kind), nominee))
    return Judged(verdict, nominee, dataset)


def bind(verdict: Verdict, nominee: Path, **target_changes: object) -> Verdict:
    """The verdict, about the nominee's file and dataset, its targets changed as given."""
    changes = {"digest": digest_file(nominee / TFLITE_NAME)} | target_changes
    targets = tuple(target.model_copy(update=changes) for target in verdict.targets)
    return verdict.model_copy(update={"targets": targets, "dataset_digest": DATASET_DIGEST})


def write_verdict(folder: Path, verdict: Verdict) -> None:
    """Write ``verdict.json``."""
    write_json(folder / VERDICT_NAME, verdict)


def build_sample(folder: Path, judged: Judged, golden_examples: int = 8) -> ReleaseManifest:
    """Make a directory and build the bundle of a judged nominee in it."""
    folder.mkdir()
    return build_bundle(
        folder,
        name="digits",
        run_id="run-1",
        verdict=judged.verdict,
        nominee=judged.nominee,
        dataset=judged.dataset,
        golden_examples=golden_examples,
    )
