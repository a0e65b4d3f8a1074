"""Dataset and candidate directories around the small ``.tflite`` files of ``tflite_files``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import TFLITE_NAME, CandidateRecord, Failure, write_candidate
from edgepress.contracts.dataset import SPLIT_NAMES, DatasetManifest, InputSpec
from edgepress.contracts.json_file import write_json
from edgepress.device.digest import digest_bytes, digest_file
from edgepress.tasks.task import TaskName

TFLITE_FILES = Path(__file__).parent / "tflite_files"
DATASET_DIGEST = digest_bytes(b"a dataset")


def write_dataset(
    folder: Path,
    inputs: Mapping[str, NDArray[Any]],
    labels: NDArray[Any],
    names: int,
    slices: Mapping[str, list[str]],
    task: TaskName = "classification",
) -> Path:
    """A dataset directory whose three splits hold the same examples; ``names`` counts classes or targets."""
    for split in SPLIT_NAMES:
        (folder / split / "inputs").mkdir(parents=True)
        for name, array in inputs.items():
            np.save(folder / split / "inputs" / f"{name}.npy", array)
        np.save(folder / split / "labels.npy", labels)
        if slices:
            np.savez(folder / split / "slices.npz", allow_pickle=False, **{column: np.array(values) for column, values in slices.items()})
    manifest = DatasetManifest(
        name="small",
        task=task,
        inputs=tuple(InputSpec(name=name, shape=array.shape[1:], dtype=array.dtype.name) for name, array in inputs.items()),
        labels=tuple(f"label {number}" for number in range(names)),
        slice_columns=tuple(slices),
        counts=dict.fromkeys(SPLIT_NAMES, len(labels)),
        split_digests={name: digest_bytes(name.encode()) for name in SPLIT_NAMES},
        digest=DATASET_DIGEST,
    )
    write_json(folder / "dataset.json", manifest)
    return folder


def write_model(folder: Path, recipe: str, file: str, failure: Failure | None = None) -> Path:
    """A candidate directory that holds one of the files of ``tflite_files``, by name without the suffix."""
    folder.mkdir()
    path = folder / TFLITE_NAME
    path.write_bytes((TFLITE_FILES / f"{file}.tflite").read_bytes())
    write_candidate(
        folder, CandidateRecord(recipe=recipe, dataset_digest=DATASET_DIGEST, failure=failure, artifacts={"tflite": digest_file(path)})
    )
    return folder
