"""Held-out splits by group, by time, at random, and of data with anomalies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import SPLIT_NAMES, SplitName, open_dataset
from edgepress.errors import DataError
from edgepress.ingest.step import ingest
from edgepress.ingest.strategies import take_groups, take_latest

WANTED: dict[SplitName, float] = {"validation": 0.2, "test": 0.3}


def disjoint_and_complete(taken: dict[SplitName, np.ndarray], examples: int) -> bool:
    return sorted(np.concatenate(list(taken.values())).tolist()) == list(range(examples))


@given(seed=st.integers(0, 1000), groups=st.lists(st.integers(0, 12), min_size=30, max_size=80))
@settings(deadline=None)
def test_a_group_stays_together(seed: int, groups: list[int]) -> None:
    names = np.array(groups)
    if len(np.unique(names)) < 3:
        with pytest.raises(DataError, match="add groups"):
            take_groups(names, WANTED, seed=seed, source="x.npz")
        return
    taken = take_groups(names, WANTED, seed=seed, source="x.npz")
    assert disjoint_and_complete(taken, len(names))
    owners = [set(names[indices].tolist()) for indices in taken.values()]
    assert all(owner for owner in owners)
    assert sum(len(owner) for owner in owners) == len(np.unique(names))
    again = take_groups(names, WANTED, seed=seed, source="x.npz")
    assert all(np.array_equal(taken[split], again[split]) for split in taken)


@given(times=st.lists(st.integers(0, 100_000), min_size=20, max_size=60, unique=True))
@settings(deadline=None)
def test_what_comes_later_judges(times: list[int]) -> None:
    stamps = np.array(times)
    taken = take_latest(stamps, WANTED, seed=0, source="x.npz")
    assert disjoint_and_complete(taken, len(stamps))
    assert stamps[taken["train"]].max() < stamps[taken["validation"]].min()
    assert stamps[taken["validation"]].max() < stamps[taken["test"]].min()


def test_examples_of_one_time_are_not_parted() -> None:
    stamps = np.repeat(np.arange(4), 5)
    taken = take_latest(stamps, WANTED, seed=0, source="x.npz")
    assert {split: sorted(set(stamps[indices].tolist())) for split, indices in taken.items()} == {
        "test": [2, 3],
        "validation": [1],
        "train": [0],
    }
    with pytest.raises(DataError, match="no example would be in"):
        take_latest(np.zeros(20), WANTED, seed=0, source="x.npz")


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_regression_of_a_file_by_group(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 5)
    source = save(tmp_path / "x.npz", x=random.normal(size=(100, 3)), y=random.normal(size=(100, 2)), patient=patients)
    chosen = DatasetSettings(source=source, task="regression", split="group", split_by="patient")
    result = ingest(settings=chosen, root=tmp_path / "out")
    dataset = open_dataset(result.path)
    assert (dataset.manifest.task, dataset.manifest.labels) == ("regression", ("target_0", "target_1"))
    assert dataset.split("train").labels.dtype == np.float32
    assert dataset.split("train").labels.shape[1:] == (2,)
    assert sum(dataset.manifest.counts[name] for name in SPLIT_NAMES) == 100
    assert all(count % 5 == 0 for count in dataset.manifest.counts.values())


def test_an_anomaly_detector_trains_on_what_is_normal(tmp_path: Path) -> None:
    dataset = open_dataset(ingest(settings=DatasetSettings(source="breast-cancer"), root=tmp_path).path)
    assert dataset.manifest.labels == ("benign", "malignant")
    assert not dataset.split("train").labels.any()
    held_out = {name: int(dataset.split(name).labels.sum()) for name in ("validation", "test")}
    assert sum(held_out.values()) == 212
    assert held_out["test"] == pytest.approx(2 * held_out["validation"], abs=2)


def test_breast_cancer_can_be_classified_too(tmp_path: Path) -> None:
    dataset = open_dataset(ingest(settings=DatasetSettings(source="breast-cancer", task="classification"), root=tmp_path).path)
    assert dataset.manifest.task == "classification"
    assert 0.3 < dataset.split("train").labels.mean() < 0.45


def test_diabetes_has_a_target(tmp_path: Path) -> None:
    dataset = open_dataset(ingest(settings=DatasetSettings(source="diabetes"), root=tmp_path).path)
    assert dataset.manifest.task == "regression"
    labels = np.concatenate([dataset.split(name).labels for name in SPLIT_NAMES])
    assert (labels.min(), labels.max(), labels.shape) == (25.0, 346.0, (442, 1))
    features = np.concatenate([dataset.split(name).inputs["features"] for name in SPLIT_NAMES])
    assert np.abs(features.mean(axis=0)).max() < 1e-5
    assert features.std(axis=0) == pytest.approx(np.ones(10), abs=1e-4)


def test_pixels_and_tokens_keep_their_types(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    source = save(
        tmp_path / "x.npz",
        x_image=random.integers(0, 256, (60, 4, 4)).astype(np.uint8),
        x_tokens=random.integers(0, 9, (60, 5)).astype(np.int32),
        y=np.arange(60) % 2,
    )
    for scaling, dtype, largest in (("raw", "uint8", 255), ("unit", "float32", 1.0)):
        settings_of = DatasetSettings.model_validate({"source": source, "scaling": scaling})
        manifest = (opened := open_dataset(ingest(settings=settings_of, root=tmp_path / scaling).path)).manifest
        assert [(spec.name, spec.shape, spec.dtype) for spec in manifest.inputs] == [("image", (4, 4, 1), dtype), ("tokens", (5,), "int32")]
        assert 0.9 * largest < opened.split("train").inputs["image"].max() <= largest
        assert opened.split("train").inputs["tokens"].dtype == np.int32


@pytest.mark.parametrize(
    ("arrays", "settings_of", "message"),
    [
        ({"y": np.arange(30.0)[:, None, None]}, {"task": "regression"}, r"a regression's targets are numbers, \[n\] or \[n, targets\]"),
        ({"y": np.where(np.arange(30) == 4, np.nan, 1.0)}, {"task": "regression"}, r"y\[4\] is nan"),
        ({"y": np.ones(30)}, {"task": "regression"}, "there is nothing to predict"),
        ({"y": np.arange(30) % 3}, {"task": "anomaly_detection"}, "has two, normal and anomalous"),
        ({"y": np.array(["good", "bad"] * 15)}, {"task": "anomaly_detection"}, "which of bad and good is normal"),
        ({"y": np.zeros(30, np.int64), "label_names": np.array(["normal", "odd"])}, {"task": "anomaly_detection"}, "no odd example"),
        ({"y": np.arange(30) % 2}, {"split": "group", "split_by": "site"}, "has no site"),
        ({"y": np.arange(30) % 2, "when": np.full(30, np.nan)}, {"split": "time", "split_by": "when"}, "without a time"),
    ],
)
def test_labels_and_columns_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], settings_of: dict[str, str], message: str
) -> None:
    source = save(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(30, 2)), **arrays)
    with pytest.raises(DataError, match=message):
        ingest(settings=DatasetSettings.model_validate({"source": source, **settings_of}), root=tmp_path / "out")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "digits", "task": "regression"}, "is not what digits serves"),
        ({"source": "diabetes", "split": "stratified"}, "does not suit a regression"),
        ({"source": "x.npz", "split": "group"}, "needs split_by"),
        ({"source": "digits", "split": "time", "split_by": "when"}, "needs split_by, an array of a .npz source"),
        ({"source": "x.npz", "split_by": "site"}, "set split to one of them"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DatasetSettings.model_validate(values)
