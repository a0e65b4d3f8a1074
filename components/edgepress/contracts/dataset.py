"""The dataset directory: memory-mapped arrays per split, described by ``dataset.json``.

    dataset.json
    <split>/inputs/<name>.npy      one array per named input, first axis is the example
    <split>/labels.npy             int64 [n], an index into ``labels``
    <split>/slices.npz             one array of strings [n] per slice column; absent when there is none

Splits are ``train`` (fits), ``validation`` (selects) and ``test`` (judges).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.errors import DataError

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
MANIFEST_NAME = "dataset.json"


class InputSpec(StrictModel):
    """One named model input: ``shape`` without the example axis, ``dtype`` as numpy spells it (``float32``)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class DatasetManifest(StrictModel):
    """What ``dataset.json`` holds. ``digest`` covers everything else in the directory and the rest of the manifest."""

    schema_version: Literal[1] = 1
    name: str
    task: Literal["classification"]
    inputs: tuple[InputSpec, ...]
    labels: tuple[str, ...]
    slice_columns: tuple[str, ...]
    counts: dict[SplitName, int]
    digest: Digest


@dataclass(frozen=True)
class Split:
    """The arrays of one split.

    Attributes:
        inputs: name -> array [n, *shape], memory-mapped read-only, dtype as the manifest says.
        labels: int64 [n], memory-mapped read-only.
        slices: column -> array of str [n].
    """

    inputs: Mapping[str, NDArray[np.generic]]
    labels: NDArray[np.int64]
    slices: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DatasetDirectory:
    """A dataset directory opened for reading."""

    path: Path
    manifest: DatasetManifest

    def split(self, name: SplitName) -> Split:
        """Open one split; arrays are mapped, not read.

        Raises:
            DataError: a file of the split is missing or does not have the shape and dtype of the manifest.
        """
        folder = self.path / name
        count = self.manifest.counts[name]
        inputs = {}
        for spec in self.manifest.inputs:
            array = _map_array(folder / "inputs" / f"{spec.name}.npy")
            if array.shape != (count, *spec.shape) or array.dtype != np.dtype(spec.dtype):
                raise DataError(
                    f"{folder}/inputs/{spec.name}.npy holds {array.dtype}{list(array.shape)}, "
                    f"but {MANIFEST_NAME} says {spec.dtype}{[count, *spec.shape]}; run ingest again"
                )
            inputs[spec.name] = array
        labels = _map_array(folder / "labels.npy")
        if labels.shape != (count,):
            raise DataError(f"{folder}/labels.npy holds {list(labels.shape)} labels, but {MANIFEST_NAME} says {count}; run ingest again")
        slices: dict[str, NDArray[np.str_]] = {}
        if self.manifest.slice_columns:
            with np.load(folder / "slices.npz", allow_pickle=False) as archive:
                slices = {column: archive[column] for column in self.manifest.slice_columns}
        return Split(inputs=inputs, labels=labels, slices=slices)


def open_dataset(path: Path) -> DatasetDirectory:
    """Open a dataset directory.

    Raises:
        DataError: there is no readable ``dataset.json``.
    """
    manifest_path = path / MANIFEST_NAME
    try:
        manifest = DatasetManifest.model_validate_json(manifest_path.read_bytes())
    except OSError as error:
        raise DataError(f"{manifest_path}: cannot be read ({error.strerror}); this is not a dataset directory") from error
    except ValidationError as error:
        raise DataError(f"{manifest_path}: is not a dataset manifest of schema version 1") from error
    return DatasetDirectory(path=path, manifest=manifest)


def _map_array(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not a readable .npy file; run ingest again") from error
    return array
