"""Dataset and candidate directories around the small ``.tflite`` files of ``tflite_files``."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import TFLITE_NAME, CandidateRecord, Failure, write_candidate
from edgepress.contracts.dataset import SPLIT_NAMES
from edgepress.device.digest import digest_bytes, digest_file

TFLITE_FILES = Path(__file__).parent / "tflite_files"
DATASET_DIGEST = digest_bytes(b"a dataset")


def write_dataset(
    folder: Path, inputs: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], classes: int, slices: Mapping[str, list[str]]
) -> Path:
    """A dataset directory whose three splits hold the same examples."""
    for split in SPLIT_NAMES:
        (folder / split / "inputs").mkdir(parents=True)
        for name, array in inputs.items():
            np.save(folder / split / "inputs" / f"{name}.npy", array)
        np.save(folder / split / "labels.npy", labels)
        if slices:
            np.savez(folder / split / "slices.npz", allow_pickle=False, **{column: np.array(values) for column, values in slices.items()})
    manifest = {
        "schema_version": 1,
        "name": "small",
        "task": "classification",
        "inputs": [{"name": name, "shape": array.shape[1:], "dtype": "float32"} for name, array in inputs.items()],
        "labels": [f"label {number}" for number in range(classes)],
        "slice_columns": list(slices),
        "counts": dict.fromkeys(SPLIT_NAMES, len(labels)),
        "split_digests": {name: digest_bytes(name.encode()) for name in SPLIT_NAMES},
        "digest": DATASET_DIGEST,
    }
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


def write_model(folder: Path, recipe: str, file: str, failure: Failure | None = None) -> Path:
    """A candidate directory that holds one of the files of ``tflite_files``, by name without the suffix."""
    folder.mkdir()
    path = folder / TFLITE_NAME
    path.write_bytes((TFLITE_FILES / f"{file}.tflite").read_bytes())
    write_candidate(folder, CandidateRecord(recipe=recipe, dataset_digest=DATASET_DIGEST, failure=failure, tflite_digest=digest_file(path)))
    return folder
