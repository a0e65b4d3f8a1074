"""Checks of what a reader gave. Each error names what is wrong, where it is in the user's own terms, and what to do."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import SPLIT_NAMES, SplitName
from edgepress.errors import DataError
from edgepress.ingest.content import Examples, SourceContent
from edgepress.tasks.task import LearningTask

ExampleDigests = list[bytes]
"""One hash per example over all its inputs as models see them."""

EXAMPLE_DIGEST_BYTES = 16


def check_shapes(content: SourceContent, source: str) -> None:
    """Every given split has examples, and every input the same shape, and the same kind of values, in each.

    Raises:
        DataError: otherwise.
    """
    for split, examples in content.given.items():
        if len(examples) == 0:
            otherwise = "" if split == "train" else ", or leave it out to have it taken out of train"
            raise DataError(f"{source}: the {split} split is empty; give it examples{otherwise}")
        for name, values in examples.inputs.items():
            expected = content.train.inputs[name]
            if any((values.dtype == kind) != (expected.dtype == kind) for kind in (np.uint8, np.int32)):
                raise DataError(
                    f"{source}: input {name} is {values.dtype} in {split}, but {expected.dtype} in train; only uint8 is taken for pixels, "
                    "so save both as one type"
                )
            here, there = examples.shape(name), content.train.shape(name)
            if here != there:
                raise DataError(f"{source}: input {name} is {list(here)} in {split}, but {list(there)} in train; bring both to one shape")


def check_labels(task: LearningTask, content: SourceContent, source: str) -> None:
    """Labels can train, select and judge: classes that occur, both kinds of a detection of anomalies, targets that vary.

    Raises:
        DataError: otherwise, or the inputs do not suit the task.
    """
    splits = {split: examples.labels for split, examples in content.given.items()}
    if task.name == "classification":
        check_classes(content.labels, splits, source)
    elif task.name == "anomaly_detection":
        _check_anomalies(content, splits, source)
    else:
        for split, values in splits.items():
            if len(values) > 1 and bool((values == values[0]).all()):
                raise DataError(f"{source}: all targets of the {split} split are {values[0].tolist()}; there is nothing to predict")


def _check_anomalies(content: SourceContent, splits: Mapping[SplitName, NDArray[np.int64]], source: str) -> None:
    if len(content.train.inputs) != 1:
        raise DataError(f"{source}: has {len(content.train.inputs)} inputs; an anomaly detector reconstructs one")
    if content.train.dtype(next(iter(content.train.inputs))) != "float32":
        raise DataError(f"{source}: an anomaly detector reconstructs float32 inputs; use dataset.scaling unit, or save real numbers")
    for split, values in splits.items():
        held_out = split != "train" or len(splits) == 1
        for number, name in enumerate(content.labels):
            if not (values == number).any() and (held_out or number == 0):
                raise DataError(f"{source}: no {name} example is in the {split} split; add some there")


def check_classes(labels: tuple[str, ...], splits: Mapping[SplitName, NDArray[np.int64]], source: str) -> None:
    """There are two classes or more, and each has an example in every split. ``splits``: each split's labels.

    Raises:
        DataError: otherwise.
    """
    if len(labels) < 2:
        raise DataError(f"{source}: has only the class {', '.join(labels) or 'none'}; classification needs two or more")
    for split, values in splits.items():
        absent = np.flatnonzero(np.bincount(values, minlength=len(labels)) == 0)
        if len(absent):
            raise DataError(
                f"{source}: class {quoted(labels[index] for index in absent)} has no example in the {split} split; "
                "add some there, or remove the class from all splits"
            )


def digest_examples(examples: Examples) -> ExampleDigests:
    """Hash every example, and see on the way that every value is finite.

    Raises:
        DataError: a value is NaN or infinite as float32.
    """
    digests: ExampleDigests = []
    everything = np.arange(len(examples), dtype=np.int64)
    chunks = {name: examples.chunks(name, everything) for name in examples.inputs}
    for batches in zip(*chunks.values(), strict=True):
        for name, batch in zip(chunks, batches, strict=True):
            _check_finite(examples, name, batch, first=len(digests))
        rows = [batch.reshape(len(batch), -1) for batch in batches]
        for index in range(len(rows[0])):
            hasher = blake2b(digest_size=EXAMPLE_DIGEST_BYTES)
            for row in rows:
                hasher.update(row[index].data)
            digests.append(hasher.digest())
    return digests


def check_duplicates(given: Mapping[SplitName, Examples], digests: Mapping[SplitName, ExampleDigests]) -> None:
    """No example stands in two of the given splits: a model would be judged by what it was fitted or selected on.

    Copies within one split are the user's business.

    Raises:
        DataError: otherwise, naming the first and how many there are.
    """
    owners: dict[bytes, tuple[SplitName, int]] = {}
    for split in (name for name in SPLIT_NAMES if name in given):
        shared = [(index, *owners[key]) for index, key in enumerate(digests[split]) if key in owners]
        if shared:
            index, other, other_index = shared[0]
            count = "it is the only one" if len(shared) == 1 else f"{len(shared):,} examples of {split} stand in an earlier split too"
            raise DataError(
                f"{given[split].where(index)} ({split}) is the same example as {given[other].where(other_index)} ({other}); "
                f"remove it from one of them ({count})"
            )
        for index, key in enumerate(digests[split]):
            owners.setdefault(key, (split, index))


def find_repeated(digests: ExampleDigests) -> NDArray[np.bool_]:
    """Which examples have a copy among the others: bool [n]."""
    keys = np.frombuffer(b"".join(digests), dtype=np.dtype([("high", "<u8"), ("low", "<u8")]))
    order = np.argsort(keys, order=("high", "low"))
    same = keys[order[:-1]] == keys[order[1:]]
    repeated = np.zeros(len(digests), dtype=np.bool_)
    repeated[order[:-1][same]] = True
    repeated[order[1:][same]] = True
    return repeated


def quoted(names: Iterable[str], at_most: int = 3) -> str:
    """A few names for a message: ``'a', 'b', 'c' (and 4 more)``."""
    listed = list(names)
    shown = ", ".join(repr(name) for name in listed[:at_most])
    return shown if len(listed) <= at_most else f"{shown} (and {len(listed) - at_most} more)"


def _check_finite(examples: Examples, name: str, batch: NDArray[np.generic], first: int) -> None:
    if np.isfinite(batch).all():
        return
    position = tuple(int(axis) for axis in np.argwhere(~np.isfinite(batch))[0])
    index = first + position[0]
    original = examples.inputs[name][index][position[1:]]
    value = f"{original}, too large for float32" if np.isfinite(original) else str(original)
    raise DataError(f"{examples.where(index)}: input {name} is {value} at {list(position[1:])}; repair or remove the example")
