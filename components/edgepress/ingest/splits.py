"""Seeded splits of exact sizes, stratified by class.

The order in which a class's examples are drawn comes from raw output of the PCG64 bit generator, whose stream numpy keeps across versions
and machines (NEP 19); ``Generator``'s and Python's own shuffles promise less.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import SPLIT_NAMES, SplitName
from edgepress.errors import DataError
from edgepress.ingest.checks import quoted


def apportion(class_counts: Sequence[int], part_counts: Sequence[int]) -> NDArray[np.int64]:
    """How many examples of each class go into each part: int64 [classes, parts].

    Row sums are ``class_counts`` and column sums ``part_counts`` (whose totals are equal), and every entry is within one of its exact share
    ``class_count * part_count / total``. Shares are rounded down; what a class then still has goes, one each, to the parts that still lack
    most, classes with most left over first: the greedy construction of a 0-1 matrix with given margins (Gale 1957, Ryser 1957), which
    succeeds because the fractional parts themselves have these margins.
    """
    total = sum(class_counts)
    table = np.array([[count * part // total for part in part_counts] for count in class_counts], dtype=np.int64)
    left = np.asarray(class_counts, dtype=np.int64) - table.sum(axis=1)
    lacking = np.asarray(part_counts, dtype=np.int64) - table.sum(axis=0)
    for row in np.argsort(-left, kind="stable"):
        # Between parts that lack equally many, the one whose share was cut most.
        cut = [class_counts[row] * part % total for part in part_counts]
        order = sorted(range(len(part_counts)), key=lambda part: (-int(lacking[part]), -cut[part], part))
        for part in order[: int(left[row])]:
            table[row, part] += 1
            lacking[part] -= 1
    return table


def seeded_stream(count: int, seed: int, number: int) -> NDArray[np.uint64]:
    """Raw random numbers, uint64 [count]; ``number`` tells streams of one seed apart."""
    stream: NDArray[np.uint64] = np.random.PCG64(np.random.SeedSequence([seed % 2**64, number])).random_raw(count)
    return stream


def seeded_order(count: int, seed: int) -> NDArray[np.int64]:
    """A permutation of 0 to count - 1, int64."""
    return np.argsort(seeded_stream(count, seed, 0), kind="stable").astype(np.int64)


def draw(labels: NDArray[np.int64], table: NDArray[np.int64], drawable: NDArray[np.bool_], seed: int) -> list[NDArray[np.int64]]:
    """Indices of each part of ``table``, ascending; parts but the last take only ``drawable`` examples, the last takes all that remain."""
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(table.shape[1])]
    for number, wanted in enumerate(table):
        members = np.flatnonzero(labels == number)
        stream = seeded_stream(len(members), seed, number)
        # Those that may not be drawn come last, and so stay in the last part.
        order = members[np.lexsort((stream, ~drawable[members]))]
        for part, indices in zip(parts, np.split(order, np.cumsum(wanted)[:-1]), strict=True):
            part.append(indices)
    return [np.sort(np.concatenate(part)) for part in parts]


def take_splits(
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    wanted: Mapping[SplitName, float],
    *,
    repeated: NDArray[np.bool_],
    seed: int,
    source: str,
) -> dict[SplitName, NDArray[np.int64]]:
    """Take held-out splits out of a given training split.

    Examples that have a copy (``repeated``) all stay in train, so that no example ends up in two splits.

    Args:
        labels: int64 [n] of the given training split, every class present.
        names: class names.
        wanted: held-out split -> its share of the n examples, rounded to a whole number of examples.
        repeated: bool [n].
        seed: of the draw.
        source: for messages.

    Returns:
        split -> ascending indices, disjoint and together complete; always with ``train``.

    Raises:
        DataError: a class has too few examples, or too few without a copy, for every split to get its share.
    """
    held_out = [split for split in SPLIT_NAMES if split in wanted]
    sizes = [math.floor(len(labels) * wanted[split] + 0.5) for split in held_out]
    class_counts = np.bincount(labels, minlength=len(names)).tolist()
    table = apportion(class_counts, [*sizes, len(labels) - sum(sizes)])
    for part, split in enumerate([*held_out, "train"]):
        empty = np.flatnonzero(table[:, part] == 0)
        if len(empty):
            fractions = " and ".join(f"{name}_fraction {wanted[name]}" for name in held_out)
            raise DataError(
                f"{source}: class {quoted(names[index] for index in empty)} has too few examples to split "
                f"({class_counts[empty[0]]} of {len(labels):,}): with {fractions} none would be in {split}; "
                "add examples, change the fractions, or give the splits yourself"
            )
    single = np.bincount(labels[~repeated], minlength=len(names))
    short = np.flatnonzero(table[:, :-1].sum(axis=1) > single)
    if len(short):
        number = int(short[0])
        raise DataError(
            f"{source}: class {names[number]!r} has only {single[number]} examples without a copy among its {class_counts[number]}, but "
            f"{' and '.join(held_out)} need {int(table[number, :-1].sum())}; remove the copies, or give the splits yourself"
        )
    parts = draw(labels, table, ~repeated, seed)
    return dict(zip([*held_out, "train"], parts, strict=True))


def keep_stratified(labels: NDArray[np.int64], names: tuple[str, ...], size: int, *, seed: int) -> NDArray[np.int64]:
    """A stratified draw of ``size`` of the training examples: ascending indices into ``labels``.

    Raises:
        DataError: there are not that many, or a class would have none.
    """
    if size > len(labels):
        raise DataError(
            f"dataset.train_examples {size:,}: the training split has only {len(labels):,}; lower it or leave it out to keep all"
        )
    class_counts = np.bincount(labels, minlength=len(names)).tolist()
    table = apportion(class_counts, [size, len(labels) - size])
    empty = np.flatnonzero(table[:, 0] == 0)
    if len(empty):
        raise DataError(
            f"dataset.train_examples {size:,}: class {quoted(names[index] for index in empty)} would have no example left "
            f"(it has {class_counts[empty[0]]} of {len(labels):,}); raise it"
        )
    return draw(labels, table, np.ones(len(labels), dtype=np.bool_), seed)[0]


def held_out_fractions(given: Mapping[SplitName, object], settings: DatasetSettings) -> dict[SplitName, float]:
    """The splits that a source does not give, with the share of the given training split that each takes."""
    shares: dict[SplitName, float] = {"validation": settings.validation_fraction, "test": settings.test_fraction}
    return {split: share for split, share in shares.items() if split not in given}
