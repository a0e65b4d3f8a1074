"""The dataset directory: memory-mapped arrays per split, described by ``dataset.json``.

    dataset.json
    <split>/inputs/<name>.npy      one array per named input, first axis is the example
    <split>/labels.npy             [n, *label shape], as the task has them: int64 [n], an index into ``labels``, or float32 [n, targets]
    <split>/slices.npz             one array of strings [n] per slice column; absent when there is none

Splits are ``train`` (fits), ``validation`` (selects) and ``test`` (judges).
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.device.digest import digest_bytes
from edgepress.errors import DataError, IntegrityError
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import LearningTask, TaskName

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
MANIFEST_NAME = "dataset.json"

DatasetAddress = str | Path
"""Where a dataset is: a dataset directory, or the ``s3://`` URI of one that ``edgepress.storage.dataset`` stored."""


class InputSpec(StrictModel):
    """One named model input: ``shape`` without the example axis, ``dtype`` as numpy spells it (``float32``)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class DatasetDescription(StrictModel):
    """Everything that ``dataset.json`` says about the arrays.

    Attributes:
        name: what the dataset is called; the only field that the digest does not cover.
        task: the kind of learning task; ``edgepress.tasks`` says what follows from it.
        inputs: the model's inputs, in its order.
        labels: names of the classes, which labels are indices into, or of a regression's targets.
        slice_columns: columns by which accuracy is also reported.
        counts: examples of each split.
    """

    schema_version: Literal[2] = 2
    name: str
    task: TaskName
    inputs: tuple[InputSpec, ...]
    labels: tuple[str, ...]
    slice_columns: tuple[str, ...]
    counts: dict[SplitName, int]

    @property
    def learning_task(self) -> LearningTask:
        """What the task says of itself."""
        return TASKS[self.task]

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Input name -> shape without the example axis."""
        return {spec.name: spec.shape for spec in self.inputs}

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of one example's label."""
        return self.learning_task.label_shape(self.labels)

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes that one example's output of a model may have, the usual one first."""
        return self.learning_task.output_shapes(self.labels, self.input_shapes)


class DatasetManifest(DatasetDescription):
    """What ``dataset.json`` holds.

    Attributes:
        digest: of everything, see :class:`DatasetHash`.
        split_digests: of each split's inputs and labels alone. Datasets that differ elsewhere but are judged on the same examples have the
            same digest of ``test``.
    """

    digest: Digest
    split_digests: dict[SplitName, Digest]


class DatasetHash:
    """The digests of a dataset: of its content alone, so that equal data has one digest on every machine, at any time, in any folder.

    A split's is the sha256 over its inputs and its labels in the manifest's order, each as one line
    ``<path> <numpy type string> <shape>`` and the array's bytes in C order. The dataset's is the sha256 over the description as canonical
    JSON (sorted keys, ASCII, without ``name``), one line ``<split> <digest>`` for each split in the order of ``SPLIT_NAMES``, and that
    of all slice columns, hashed like inputs.
    """

    def __init__(self, description: DatasetDescription) -> None:
        fields = description.model_dump(mode="json", include=set(DatasetDescription.model_fields) - {"name"})
        self._description = json.dumps(fields, sort_keys=True)
        self._splits = {name: hashlib.sha256() for name in SPLIT_NAMES}
        self._slices = hashlib.sha256()
        self._current = self._slices

    def begin_array(self, split: SplitName, path: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        """Announce the next array. ``path`` is relative to the split: ``inputs/image``, ``labels``, ``slices/site``."""
        is_slice = path.startswith("slices/")
        self._current = self._slices if is_slice else self._splits[split]
        shown = f"{split}/{path}" if is_slice else path
        self._current.update(f"{shown} {dtype.str} {list(shape)}\n".encode())

    def update(self, values: NDArray[Any]) -> None:
        """Add the next rows of the announced array; C-contiguous."""
        self._current.update(values.data)

    def add_array(self, split: SplitName, path: str, values: NDArray[Any]) -> None:
        """Add a whole array."""
        self.begin_array(split, path, values.dtype, values.shape)
        self.update(np.ascontiguousarray(values))

    def split_digests(self) -> dict[SplitName, str]:
        """``sha256:<64 hex digits>`` of each split."""
        return {name: f"sha256:{content.hexdigest()}" for name, content in self._splits.items()}

    def digest(self) -> str:
        """``sha256:<64 hex digits>`` of the dataset."""
        lines = [self._description, *(f"{name} {digest}" for name, digest in self.split_digests().items()), self._slices.hexdigest()]
        return digest_bytes("\n".join(lines).encode())


@dataclass(frozen=True)
class Split:
    """The arrays of one split.

    Attributes:
        inputs: name -> array [n, *shape], memory-mapped read-only, dtype as the manifest says.
        labels: [n, *label shape] of the task's dtype, memory-mapped read-only.
        slices: column -> array of str [n].
    """

    inputs: Mapping[str, NDArray[np.generic]]
    labels: NDArray[Any]
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
        labels: NDArray[Any] = _map_array(folder / "labels.npy")
        shape, dtype = (count, *self.manifest.label_shape), self.manifest.learning_task.label_dtype
        if labels.shape != shape or labels.dtype != dtype:
            raise DataError(
                f"{folder}/labels.npy holds {labels.dtype}{list(labels.shape)}, but {MANIFEST_NAME} says {dtype}{list(shape)}; "
                "run ingest again"
            )
        return Split(inputs=inputs, labels=labels, slices=self._slices(folder, count))

    def _slices(self, folder: Path, count: int) -> dict[str, NDArray[np.str_]]:
        if not self.manifest.slice_columns:
            return {}
        path = folder / "slices.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                slices = {column: archive[column] for column in self.manifest.slice_columns}
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: does not hold the slice columns that {MANIFEST_NAME} names; run ingest again") from error
        for column, values in slices.items():
            if values.shape != (count,) or values.dtype.kind != "U":
                raise DataError(f"{path}: column {column} is not {count} strings; run ingest again")
        return slices


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
        raise DataError(f"{manifest_path}: is not a dataset manifest of schema version 2") from error
    return DatasetDirectory(path=path, manifest=manifest)


def verify_dataset(path: Path) -> DatasetDirectory:
    """Open a dataset directory after reading all of it and comparing its content with its digest.

    Raises:
        DataError: the directory or one of its files is missing or is not what the manifest says.
        IntegrityError: the content is not the one whose digest was recorded.
    """
    dataset = open_dataset(path)
    content = DatasetHash(dataset.manifest)
    for name in SPLIT_NAMES:
        split = dataset.split(name)
        for spec in dataset.manifest.inputs:
            content.add_array(name, f"inputs/{spec.name}", split.inputs[spec.name])
        content.add_array(name, "labels", split.labels)
        for column in dataset.manifest.slice_columns:
            content.add_array(name, f"slices/{column}", split.slices[column])
    if content.digest() != dataset.manifest.digest or content.split_digests() != dataset.manifest.split_digests:
        raise IntegrityError(f"{path}: its content is not the one whose digest {MANIFEST_NAME} records; delete it and run ingest again")
    return dataset


def _map_array(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: is not a readable .npy file; run ingest again") from error
    return array
