"""Splits are disjoint, complete, of exact sizes, stratified within one example, and the same everywhere."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.errors import DataError
from edgepress.ingest.splits import apportion, draw, keep_stratified, take_splits

counts = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(lambda values: sum(values) > 0)


@st.composite
def margins(strategy: st.DrawFn) -> tuple[list[int], list[int]]:
    """Class counts, and sizes of one to four parts with the same total."""
    classes = strategy(counts)
    total = sum(classes)
    cuts = sorted(strategy(st.lists(st.integers(0, total), max_size=3)))
    return classes, np.diff([0, *cuts, total]).tolist()


@settings(deadline=None)
@given(margins())
def test_apportion_keeps_both_margins_and_every_share_within_one(given_margins: tuple[list[int], list[int]]) -> None:
    classes, parts = given_margins
    table = apportion(classes, parts)
    assert (table >= 0).all()
    assert table.sum(axis=1).tolist() == classes
    assert table.sum(axis=0).tolist() == parts
    shares = np.outer(classes, parts) / sum(classes)
    assert (np.abs(table - shares) <= 1.0).all()


@settings(deadline=None)
@given(
    class_counts=st.lists(st.integers(12, 60), min_size=2, max_size=8),
    fractions=st.tuples(st.sampled_from([0.1, 0.15, 0.25]), st.sampled_from([0.1, 0.2, 0.3])),
    seed=st.integers(-5, 2**70),
    shuffle=st.randoms(use_true_random=False),
)
def test_taken_splits_are_disjoint_complete_stratified_and_deterministic(
    class_counts: list[int], fractions: tuple[float, float], seed: int, shuffle: random.Random
) -> None:
    values = [number for number, count in enumerate(class_counts) for _ in range(count)]
    shuffle.shuffle(values)
    labels = np.array(values, dtype=np.int64)
    names = tuple(f"class {number}" for number in range(len(class_counts)))
    wanted = {"validation": fractions[0], "test": fractions[1]}
    nothing = np.zeros(len(labels), dtype=np.bool_)

    def take() -> dict[str, np.ndarray]:
        return dict(take_splits(labels, names, wanted, repeated=nothing, seed=seed, source="data"))  # type: ignore[arg-type]

    splits = take()
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(len(labels)))
    for split, fraction in wanted.items():
        assert abs(len(splits[split]) - fraction * len(labels)) <= 0.5
    for indices in splits.values():
        assert (np.diff(indices) > 0).all()
        shares = np.array(class_counts) * len(indices) / len(labels)
        assert (np.abs(np.bincount(labels[indices], minlength=len(names)) - shares) <= 1.0).all()
    again = take()
    assert all((splits[split] == again[split]).all() for split in splits)


@settings(deadline=None)
@given(size=st.integers(8, 90), seed=st.integers(0, 1000))
def test_the_training_subset_is_stratified_and_of_the_exact_size(size: int, seed: int) -> None:
    labels = np.repeat(np.arange(3, dtype=np.int64), [30, 30, 30])
    kept = keep_stratified(labels, ("a", "b", "c"), size, seed=seed)
    assert len(np.unique(kept)) == size
    assert (np.abs(np.bincount(labels[kept], minlength=3) - size / 3) <= 1.0).all()


def test_another_seed_gives_other_splits_and_the_drawn_ones_are_known() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int64), 10)
    table = apportion([10, 10], [4, 16])
    drawable = np.ones(20, dtype=np.bool_)
    first, second = (draw(labels, table, drawable, seed)[0].tolist() for seed in (0, 1))
    assert first != second
    # Known values: a change of this draw would silently change every dataset, and every digest.
    assert first == [2, 3, 14, 17]


def test_examples_with_a_copy_stay_in_train() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int64), 20)
    repeated = np.zeros(40, dtype=np.bool_)
    repeated[[0, 5, 25, 30]] = True
    for seed in range(20):
        splits = take_splits(labels, ("a", "b"), {"test": 0.5}, repeated=repeated, seed=seed, source="data")
        assert set(np.flatnonzero(repeated)) <= set(splits["train"])
        assert np.bincount(labels[splits["test"]]).tolist() == [10, 10]


@pytest.mark.parametrize(
    ("class_counts", "repeated", "expected"),
    [
        (
            [40, 3],
            [],
            ["data: class 'b' has too few examples to split (3 of 43)", "validation_fraction 0.1", "none would be in validation"],
        ),
        (
            [20, 20],
            list(range(22, 40)),
            ["class 'b' has only 2 examples without a copy among its 20", "validation and test need 6"],
        ),
    ],
)
def test_a_class_that_cannot_be_split_is_named(class_counts: list[int], repeated: list[int], expected: list[str]) -> None:
    labels = np.repeat(np.arange(2, dtype=np.int64), class_counts)
    mask = np.zeros(len(labels), dtype=np.bool_)
    mask[repeated] = True
    with pytest.raises(DataError) as raised:
        take_splits(labels, ("a", "b"), {"validation": 0.1, "test": 0.2}, repeated=mask, seed=0, source="data")
    assert all(part in str(raised.value) for part in expected), raised.value


@pytest.mark.parametrize(
    ("size", "expected"),
    [(41, "dataset.train_examples 41: the training split has only 40"), (3, "class 'b' would have no example left (it has 4 of 40)")],
)
def test_a_training_subset_that_cannot_be_drawn_is_refused(size: int, expected: str) -> None:
    labels = np.repeat(np.arange(2, dtype=np.int64), [36, 4])
    with pytest.raises(DataError, match=r"dataset\.train_examples") as raised:
        keep_stratified(labels, ("a", "b"), size, seed=0)
    assert expected in str(raised.value)
