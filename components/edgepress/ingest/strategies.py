"""How held-out splits are taken out of a training split, by strategy and kind of learning task.

However it is done: ascending indices, disjoint, and the same for the same data, settings and seed. An anomaly detector trains on normal
examples alone, so all anomalies go to the held-out splits.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import SPLIT_NAMES, SplitName
from edgepress.errors import DataError
from edgepress.ingest.content import Examples
from edgepress.ingest.splits import draw, seeded_order, take_splits
from edgepress.tasks.anomaly_detection import ANOMALOUS

Indices = dict[SplitName, NDArray[np.int64]]


def split_examples(
    settings: DatasetSettings,
    examples: Examples,
    names: tuple[str, ...],
    wanted: Mapping[SplitName, float],
    repeated: NDArray[np.bool_],
) -> Indices:
    """Take held-out splits out of a given training split, as the settings say.

    Args:
        settings: strategy, task and seed.
        examples: the given training split.
        names: of classes or targets.
        wanted: held-out split -> its share of the examples.
        repeated: bool [n], which examples have a copy; these all stay in train, where the strategy draws single examples.

    Returns:
        split -> ascending indices, always with ``train``.

    Raises:
        DataError: there are too few examples, or groups, for every split to get its share.
    """
    task = settings.learning_task
    strategy = settings.split or task.split_strategies[0]
    if strategy in ("group", "time"):
        assert examples.split_by is not None, "readers give what split_by names"
        take = take_groups if strategy == "group" else take_latest
        taken = take(examples.split_by, wanted, seed=settings.seed, source=settings.source)
    elif task.name == "anomaly_detection":
        return _take_with_anomalies(settings, examples.labels, names, wanted, repeated)
    else:
        stratified = strategy == "stratified"
        labels = examples.labels if stratified else np.zeros(len(examples), np.int64)
        taken = take_splits(
            labels, names if stratified else ("all",), wanted, repeated=repeated, seed=settings.seed, source=settings.source
        )
    if task.trains_on is not None:
        train = taken["train"]
        taken["train"] = train[np.isin(examples.labels[train], task.trains_on)]
    _check_not_empty(taken, settings.source)
    return taken


def _take_with_anomalies(
    settings: DatasetSettings,
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    wanted: Mapping[SplitName, float],
    repeated: NDArray[np.bool_],
) -> Indices:
    """Normal examples by their shares, and all anomalies shared out among the held-out splits by the same shares."""
    normal, anomalous = (np.flatnonzero(labels == label) for label in (1 - ANOMALOUS, ANOMALOUS))
    shares = take_splits(
        np.zeros(len(normal), np.int64), names[:1], wanted, repeated=repeated[normal], seed=settings.seed, source=settings.source
    )
    held_out = [split for split in SPLIT_NAMES if split in wanted]
    total = sum(wanted.values())
    first = math.floor(len(anomalous) * wanted[held_out[0]] / total + 0.5)
    sizes = [first, len(anomalous) - first] if len(held_out) == 2 else [len(anomalous)]
    if min(sizes) < 1:
        raise DataError(
            f"{settings.source}: has {len(anomalous)} anomalies, but {' and '.join(held_out)} need one each at least; add some, or give "
            "the splits yourself"
        )
    everybody = np.ones(len(anomalous), np.bool_)
    parts = draw(np.zeros(len(anomalous), np.int64), np.array([sizes], np.int64), everybody, settings.seed)
    taken = {split: normal[indices] for split, indices in shares.items()}
    for split, indices in zip(held_out, parts, strict=True):
        taken[split] = np.sort(np.concatenate([taken[split], anomalous[indices]]))
    return taken


def take_groups(groups: NDArray[np.generic], wanted: Mapping[SplitName, float], *, seed: int, source: str) -> Indices:
    """Whole groups, drawn in a seeded order, until a split has its share: none is in two splits.

    Raises:
        DataError: there are fewer groups than splits.
    """
    names, of_example = np.unique(groups, return_inverse=True)
    held_out = [split for split in SPLIT_NAMES if split in wanted]
    if len(names) <= len(held_out):
        raise DataError(f"{source}: has {len(names)} groups, but {len(held_out) + 1} splits need one each at least; add groups")
    counts = np.bincount(of_example, minlength=len(names))
    order = list(seeded_order(len(names), seed))
    owner = np.full(len(names), len(held_out))
    for part, split in enumerate(held_out):
        size, taken = len(groups) * wanted[split], 0
        # The last split and train need a group each as well.
        while order and taken < size and len(order) > len(held_out) - part:
            group = order.pop()
            owner[group] = part
            taken += int(counts[group])
    return {split: np.flatnonzero(owner[of_example] == part) for part, split in enumerate([*held_out, "train"])}


def take_latest(times: NDArray[np.generic], wanted: Mapping[SplitName, float], *, seed: int, source: str) -> Indices:
    """The latest examples for test, those before them for validation: a model is judged on what came after what it learned from.

    Examples of one time stay together, on the later side.

    Raises:
        DataError: a split would be empty.
    """
    del seed  # nothing is drawn
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    end = len(order)
    taken: Indices = {}
    for split in [split for split in reversed(SPLIT_NAMES) if split in wanted]:
        begin = max(0, end - math.floor(len(order) * wanted[split] + 0.5))
        while 0 < begin < len(order) and ordered[begin - 1] == ordered[begin]:
            begin -= 1
        taken[split] = np.sort(order[begin:end])
        end = begin
    taken["train"] = np.sort(order[:end])
    _check_not_empty(taken, source)
    return taken


def _check_not_empty(taken: Mapping[SplitName, NDArray[np.int64]], source: str) -> None:
    empty = [split for split, indices in taken.items() if len(indices) == 0]
    if empty:
        raise DataError(f"{source}: no example would be in {empty[0]}; add examples, change the fractions, or give the splits yourself")
