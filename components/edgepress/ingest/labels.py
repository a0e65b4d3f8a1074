"""Labels as a file has them become what the task takes: indices into class names, or targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import SplitName
from edgepress.errors import DataError
from edgepress.tasks.task import LearningTask


@dataclass(frozen=True)
class LabelArray:
    """Labels of one split as read: ``key`` names the array in messages."""

    key: str
    values: NDArray[Any]


def read_labels(
    task: LearningTask, arrays: Mapping[SplitName, LabelArray], label_names: tuple[str, ...] | None, source: str
) -> tuple[tuple[str, ...], dict[SplitName, NDArray[Any]]]:
    """Names of classes or targets, and each split's labels as the task has them.

    Raises:
        DataError: a label has the wrong type, shape or value for the task.
    """
    if task.name == "regression":
        return _read_targets(arrays, label_names, source)
    names, labels = encode_labels(arrays, label_names, source)
    if task.name == "anomaly_detection" and label_names is None:
        return normal_first(names, labels, source)
    return names, dict(labels)


def normal_first(
    names: tuple[str, ...], labels: Mapping[SplitName, NDArray[np.int64]], source: str
) -> tuple[tuple[str, ...], dict[SplitName, NDArray[Any]]]:
    """The two classes of a detection of anomalies, the normal one first: 0 and 1 as numbers, or one that is called ``normal``.

    Raises:
        DataError: there are not two classes, or it cannot be told which is normal.
    """
    if len(names) != 2:
        raise DataError(f"{source}: has the classes {', '.join(names)}; a detection of anomalies has two, normal and anomalous")
    if names == ("0", "1"):
        return ("normal", "anomalous"), dict(labels)
    if "normal" not in names:
        raise DataError(f"{source}: which of {names[0]} and {names[1]} is normal? Call that class normal, or give label_names, it first")
    if names[0] == "normal":
        return names, dict(labels)
    return (names[1], names[0]), {split: 1 - values for split, values in labels.items()}


def _read_targets(
    arrays: Mapping[SplitName, LabelArray], target_names: tuple[str, ...] | None, source: str
) -> tuple[tuple[str, ...], dict[SplitName, NDArray[Any]]]:
    """Targets as float32 [n, targets]; [n] is one target. Without names one is called ``target``, several ``target_0`` and so on."""
    targets: dict[SplitName, NDArray[Any]] = {}
    for split, array in arrays.items():
        values = array.values
        if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or 0 in values.shape[1:]:
            shape = list(values.shape)
            raise DataError(f"{source}: {array.key} is {values.dtype}{shape}; a regression's targets are numbers, [n] or [n, targets]")
        with np.errstate(over="ignore"):
            real = values.astype(np.float32).reshape(len(values), -1)
        broken = np.argwhere(~np.isfinite(real))
        if len(broken):
            raise DataError(f"{source}: {array.key}[{broken[0][0]}] is {values[broken[0][0]]}; repair or remove the example")
        targets[split] = real
    counts = {values.shape[1] for values in targets.values()}
    if len(counts) > 1:
        raise DataError(f"{source}: splits have {' and '.join(map(str, sorted(counts)))} targets; give each the same")
    (count,) = counts
    if target_names is not None and len(target_names) != count:
        raise DataError(f"{source}: label_names has {len(target_names)} names, but there are {count} targets; give one name each")
    names = target_names or (("target",) if count == 1 else tuple(f"target_{index}" for index in range(count)))
    return names, targets


def encode_labels(
    arrays: Mapping[SplitName, LabelArray], label_names: tuple[str, ...] | None, source: str
) -> tuple[tuple[str, ...], dict[SplitName, NDArray[np.int64]]]:
    """Class names, and each split's labels as int64 indices into them.

    Integers (or booleans) are indices already; without ``label_names`` each class is named by its number. Strings are class names;
    without ``label_names`` the classes are those that occur, in sorted order.

    Raises:
        DataError: a label has the wrong type or shape, or is out of range, or numbers below the highest never occur.
    """
    for array in arrays.values():
        _check_kind(array, source)
    kinds = {array.values.dtype.kind == "U" for array in arrays.values()}
    if len(kinds) > 1:
        keys = " and ".join(f"{array.key} ({array.values.dtype})" for array in arrays.values())
        raise DataError(f"{source}: {keys} mix strings and integers; use one kind")
    if kinds == {True}:
        return _encode_strings(arrays, label_names, source)
    names = label_names if label_names is not None else _number_names(arrays, source)
    for array in arrays.values():
        outside = np.flatnonzero((array.values < 0) | (array.values >= len(names)))
        if len(outside):
            raise DataError(
                f"{source}: {array.key}[{outside[0]}] is {array.values[outside[0]]}, but labels go from 0 to {len(names) - 1}"
                f"{_and_others(len(outside) - 1)}"
            )
    return names, {split: array.values.astype(np.int64) for split, array in arrays.items()}


def _check_kind(array: LabelArray, source: str) -> None:
    shape = list(array.values.shape)
    if array.values.ndim == 2 and shape[1] == 1:
        raise DataError(f"{source}: {array.key} has shape {shape}; labels are [n]: save {array.key}.ravel()")
    if array.values.ndim != 1:
        raise DataError(f"{source}: {array.key} has shape {shape}; labels are [n]: of one-hot rows save {array.key}.argmax(axis=1)")
    if array.values.dtype.kind not in "iubU":
        raise DataError(f"{source}: {array.key} is {array.values.dtype}; labels are integers from 0 or strings")


def _number_names(arrays: Mapping[SplitName, LabelArray], source: str) -> tuple[str, ...]:
    present = np.unique(np.concatenate([array.values.astype(np.int64) for array in arrays.values()]))
    present = present[present >= 0]  # a negative label is out of range, and is named as that
    classes = int(present[-1]) + 1 if len(present) else 0
    if len(present) < classes:
        absent = int(np.setdiff1d(np.arange(len(present) + 1), present)[0])
        keys = ", ".join(array.key for array in arrays.values())
        raise DataError(
            f"{source}: label {absent} never occurs in {keys}, though labels go up to {classes - 1}; number them from 0 without gaps"
        )
    return tuple(str(number) for number in range(classes))


def _encode_strings(
    arrays: Mapping[SplitName, LabelArray], label_names: tuple[str, ...] | None, source: str
) -> tuple[tuple[str, ...], dict[SplitName, NDArray[np.int64]]]:
    occurring = tuple(str(name) for name in np.unique(np.concatenate([array.values for array in arrays.values()])))
    names = label_names if label_names is not None else occurring
    index = {name: number for number, name in enumerate(names)}
    encoded = {}
    for split, array in arrays.items():
        for position, name in enumerate(array.values):
            if str(name) not in index or not name:
                raise DataError(f"{source}: {array.key}[{position}] is {str(name)!r}, which is not a class name")
        encoded[split] = np.array([index[str(name)] for name in array.values], dtype=np.int64)
    return names, encoded


def _and_others(others: int) -> str:
    return f" (and {others:,} more like it)" if others else ""
