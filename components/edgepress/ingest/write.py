"""Writing of a dataset directory: arrays a chunk at a time, hashed on the way."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import (
    MANIFEST_NAME,
    SPLIT_NAMES,
    DatasetDescription,
    DatasetHash,
    DatasetManifest,
    SplitName,
)
from edgepress.contracts.json_file import write_json
from edgepress.device.files import fsync_directory
from edgepress.ingest.content import Examples


@dataclass(frozen=True)
class Selection:
    """Which of a given split's examples a split of the dataset is made of: ``indices`` int64, in the order they are written."""

    examples: Examples
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)


class ArrayFile:
    """A ``.npy`` file of known shape, written in pieces. Plain writes: on a full disk they raise, where a writable mapping would crash."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._path = path
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        with naming_file(path):
            self._file = path.open("wb")
            np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, values: NDArray[Any]) -> None:
        """Append C-contiguous rows of the array's dtype."""
        with naming_file(self._path):
            self._file.write(values.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with naming_file(self._path):
            self._file.close()


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Errors of writes do not say which file they were about; let them."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_dataset(directory: Path, description: DatasetDescription, splits: Mapping[SplitName, Selection]) -> DatasetManifest:
    """Write a dataset into an empty directory; ``dataset.json`` is the last file. Nothing is synced: see :func:`sync_tree`.

    Raises:
        OSError: the disk is full or the directory cannot be written; its ``filename`` is set.
    """
    content = DatasetHash(description)
    label_dtype = description.learning_task.label_dtype.newbyteorder("<")
    for name in SPLIT_NAMES:
        selection = splits[name]
        inputs = directory / name / "inputs"
        inputs.mkdir(parents=True)
        for spec in description.inputs:
            shape = (len(selection), *spec.shape)
            dtype = np.dtype(spec.dtype).newbyteorder("<")
            content.begin_array(name, f"inputs/{spec.name}", dtype, shape)
            with ArrayFile(inputs / f"{spec.name}.npy", dtype, shape) as array:
                for chunk in selection.examples.chunks(spec.name, selection.indices):
                    array.write(chunk)
                    content.update(chunk)
        labels = np.ascontiguousarray(selection.examples.labels[selection.indices], dtype=label_dtype)
        content.add_array(name, "labels", labels)
        with ArrayFile(directory / name / "labels.npy", label_dtype, labels.shape) as array:
            array.write(labels)
        columns = {column: selection.examples.slices[column][selection.indices] for column in description.slice_columns}
        for column, values in columns.items():
            content.add_array(name, f"slices/{column}", values)
        if columns:
            _write_columns(directory / name / "slices.npz", columns)
    manifest = DatasetManifest(**description.model_dump(), digest=content.digest(), split_digests=content.split_digests())
    write_json(directory / MANIFEST_NAME, manifest)
    return manifest


def sync_tree(directory: Path) -> None:
    """Make a written directory durable, before it is renamed into place."""
    for path in (*directory.rglob("*"), directory):
        if path.is_dir():
            fsync_directory(path)
        else:
            with naming_file(path), path.open("rb") as file:
                os.fsync(file.fileno())


def _write_columns(path: Path, columns: Mapping[str, NDArray[np.str_]]) -> None:
    """Like ``numpy.savez``, which cannot take a column called ``file``."""
    with naming_file(path), zipfile.ZipFile(path, "w") as archive:
        for column, values in columns.items():
            with archive.open(f"{column}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
