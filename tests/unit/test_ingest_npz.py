"""A .npz source: what it may hold, and that each thing it must not hold is named with where it is."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import DatasetDirectory, open_dataset
from edgepress.errors import DataError
from edgepress.ingest.step import ingest

Arrays = dict[str, Any]


def examples(seed: int, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images [count, 4, 4] and labels 0, 1, 2 in turn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 4, 4), dtype=np.uint8), np.arange(count) % 3


def given_splits() -> Arrays:
    arrays: Arrays = {}
    for seed, split in enumerate(("train", "validation", "test")):
        arrays[f"x_{split}"], arrays[f"y_{split}"] = examples(seed)
    return arrays


def one_set() -> Arrays:
    x, y = examples(7, 60)
    return {"x": x, "y": y}


def run(folder: Path, arrays: Arrays, **settings: Any) -> DatasetDirectory:
    np.savez(folder / "data.npz", **arrays)
    result = ingest(settings=DatasetSettings(source=str(folder / "data.npz"), **settings), root=folder / "root")
    return open_dataset(result.path)


def test_given_splits_are_kept_as_they_are(tmp_path: Path) -> None:
    arrays = given_splits()
    dataset = run(tmp_path, arrays)
    assert dataset.manifest.name == "data"
    assert dataset.manifest.labels == ("0", "1", "2")
    assert [(spec.name, spec.shape, spec.dtype) for spec in dataset.manifest.inputs] == [("x", (4, 4, 1), "float32")]
    for split in ("train", "validation", "test"):
        read = dataset.split(split)
        np.testing.assert_array_equal(read.inputs["x"][..., 0], arrays[f"x_{split}"].astype(np.float32) / 255)
        np.testing.assert_array_equal(read.labels, arrays[f"y_{split}"])


def test_one_set_is_split_completely(tmp_path: Path) -> None:
    arrays = one_set()
    dataset = run(tmp_path, arrays)
    assert dataset.manifest.counts == {"train": 42, "validation": 6, "test": 12}
    read = np.concatenate([dataset.split(split).inputs["x"] for split in ("train", "validation", "test")])
    assert sorted(np.round(row * 255).astype(int).tobytes() for row in read[..., 0]) == sorted(
        row.astype(int).tobytes() for row in arrays["x"]
    )


def test_a_missing_validation_is_taken_out_of_train_and_test_is_not_touched(tmp_path: Path) -> None:
    arrays = {key: value for key, value in given_splits().items() if "validation" not in key}
    dataset = run(tmp_path, arrays, validation_fraction=0.2)
    assert dataset.manifest.counts == {"train": 24, "validation": 6, "test": 30}
    np.testing.assert_array_equal(dataset.split("test").labels, arrays["y_test"])


def test_train_examples_shrinks_train_alone(tmp_path: Path) -> None:
    dataset = run(tmp_path, given_splits(), train_examples=9)
    assert dataset.manifest.counts == {"train": 9, "validation": 30, "test": 30}
    assert np.bincount(dataset.split("train").labels).tolist() == [3, 3, 3]


def test_several_inputs_string_labels_and_slice_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for split in ("train", "test"):
        arrays[f"x_sound_{split}"] = rng.normal(size=(40, 8, 2))
        arrays[f"x_place_{split}"] = rng.normal(size=(40, 3))
        arrays[f"y_{split}"] = np.array(["yes", "no"] * 20)
        arrays[f"file_{split}"] = np.array(["north", "south"]).repeat(20)  # a name that numpy.savez itself could not write
        arrays[f"year_{split}"] = np.arange(40) // 20 + 2000
    dataset = run(tmp_path, arrays, slice_columns=("file", "year"))
    assert [(spec.name, spec.shape) for spec in dataset.manifest.inputs] == [("sound", (8, 2)), ("place", (3,))]
    assert dataset.manifest.labels == ("no", "yes")
    test = dataset.split("test")
    np.testing.assert_array_equal(test.inputs["sound"], arrays["x_sound_test"].astype(np.float32))
    assert test.labels[:2].tolist() == [1, 0]
    assert test.slices["file"].tolist() == arrays["file_test"].tolist()
    assert test.slices["year"][[0, -1]].tolist() == ["2000", "2001"]
    validation = dataset.split("validation")
    assert len(validation.slices["file"]) == len(validation.labels) == 4


def test_label_names_name_the_classes(tmp_path: Path) -> None:
    dataset = run(tmp_path, {**one_set(), "label_names": np.array(["ant", "bee", "cow"])})
    assert dataset.manifest.labels == ("ant", "bee", "cow")


def test_unused_arrays_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, {**one_set(), "comment": np.arange(3)})
    assert "arrays not used: comment" in capsys.readouterr().out


def test_copies_within_one_set_stay_in_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = one_set()
    arrays["x"][1] = arrays["x"][4]
    dataset = run(tmp_path, arrays)
    copy = arrays["x"][4].astype(np.float32) / 255
    assert sum((row[..., 0] == copy).all() for row in dataset.split("train").inputs["x"]) == 2
    assert "2 of 60 examples have a copy; all of these stay in train" in capsys.readouterr().out


def changed(arrays: Arrays, **changes: Any) -> Arrays:
    """The arrays with some replaced; None removes one; a function takes the array and gives the new one."""
    result = dict(arrays)
    for key, change in changes.items():
        if change is None:
            del result[key]
        else:
            result[key] = change(np.array(result[key])) if callable(change) else change
    return result


def put(index: Any, value: Any) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64) if isinstance(value, float) else array
        array[index] = value
        return array

    return change


def as_floats(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


FLOATS = {f"x_{split}": as_floats for split in ("train", "validation", "test")}
DUPLICATE = given_splits()["x_train"][5]

BAD: list[tuple[str, Arrays, list[str]]] = [
    ("nan", changed(changed(given_splits(), **FLOATS), x_test=put((17, 2, 3), np.nan)), ["x_test[17]: input x is nan at [2, 3]"]),
    ("inf", changed(changed(given_splits(), **FLOATS), x_train=put((0, 0, 0), -np.inf)), ["x_train[0]: input x is -inf at [0, 0]"]),
    (
        "overflow",
        changed(changed(given_splits(), **FLOATS), x_train=put((3, 1, 0), 1e300)),
        ["x_train[3]", "1e+300, too large for float32"],
    ),
    (
        "leak",
        changed(given_splits(), x_test=put(9, DUPLICATE)),
        ["x_test[9] (test) is the same example as", "x_train[5] (train)", "only one"],
    ),
    ("leak, validation", changed(given_splits(), x_validation=put(2, DUPLICATE)), ["x_validation[2] (validation)", "x_train[5] (train)"]),
    (
        "leaks",
        changed(given_splits(), x_test=put(slice(4, 8), DUPLICATE)),
        ["x_test[4] (test)", "4 examples of test stand in an earlier split too"],
    ),
    ("shape of a split", changed(given_splits(), x_test=lambda x: x[:, :3]), ["input x is [3, 4, 1] in test, but [4, 4, 1] in train"]),
    ("type of a split", changed(given_splits(), x_test=as_floats), ["input x is float64 in test, but uint8 in train"]),
    ("lengths", changed(given_splits(), x_test=lambda x: x[:-1]), ["x_test holds 29 examples, but there are 30 labels"]),
    ("no feature axis", changed(one_set(), x=lambda x: x[:, 0, 0]), ["x has shape [60]; an input needs a feature axis"]),
    ("empty axis", changed(one_set(), x=lambda x: x[:, :0]), ["x has shape [60, 0, 4]; no axis may be empty"]),
    ("empty split", changed(given_splits(), x_test=lambda x: x[:0], y_test=lambda y: y[:0]), ["the test split is empty"]),
    ("absent class", changed(given_splits(), y_test=lambda y: y % 2), ["class '2' has no example in the test split"]),
    ("one class", changed(one_set(), y=lambda y: y * 0), ["has only the class 0"]),
    ("gap", changed(one_set(), y=lambda y: y + 1), ["label 0 never occurs in y, though labels go up to 3"]),
    ("wild label", changed(one_set(), y=put(3, 2**40)), ["label 3 never occurs in y"]),
    ("negative label", changed(one_set(), y=put(3, -1)), ["y[3] is -1, but labels go from 0 to 2"]),
    (
        "out of range",
        changed(one_set(), label_names=np.array(["a", "b"])),
        ["y[2] is 2, but labels go from 0 to 1 (and 19 more like it)"],
    ),
    (
        "unknown name",
        changed(one_set(), y=np.array(["a", "b"] * 30), label_names=np.array(["a", "c"])),
        ["y[1] is 'b', which is not a class"],
    ),
    ("names twice", changed(one_set(), label_names=np.array(["a", "a", "b"])), ["label_names has an empty name or one that stands twice"]),
    ("one-hot", changed(one_set(), y=np.eye(3)[np.arange(60) % 3]), ["y has shape [60, 3]; labels are [n]: of one-hot rows", "argmax"]),
    ("column labels", changed(one_set(), y=lambda y: y[:, None]), ["y has shape [60, 1]; labels are [n]: save y.ravel()"]),
    ("float labels", changed(one_set(), y=as_floats), ["y is float64; labels are integers from 0 or strings"]),
    ("mixed labels", changed(given_splits(), y_test=np.array(["a", "b", "c"] * 10)), ["mix strings and integers"]),
    ("complex", changed(one_set(), x=lambda x: x.astype(complex)), ["x is complex128; inputs are numbers"]),
    (
        "pickle",
        changed(one_set(), y=np.array([object()] * 60)),
        ["y cannot be read (it holds pickled Python objects, which are never loaded)"],
    ),
    ("no labels", {"x": one_set()["x"]}, ["has neither y nor y_train; it holds x;"]),
    ("no input", {"y": one_set()["y"]}, ["has y but no x; it holds y"]),
    ("both", {**one_set(), **given_splits()}, ["has both y and y_train"]),
    ("no test input", changed(given_splits(), x_test=None), ["has no x_test; it holds x_train"]),
    ("val", {**given_splits(), "x_val": np.zeros(3)}, ["x_val is not understood", "the splits are train, validation, test"]),
    ("path", {"y": one_set()["y"], "x_../up": one_set()["x"]}, ["x_../up does not name an input"]),
    ("nothing", {}, ["it holds nothing"]),
]


@pytest.mark.parametrize(("arrays", "expected"), [pytest.param(arrays, expected, id=name) for name, arrays, expected in BAD])
def test_bad_data_is_named_with_where_it_is(tmp_path: Path, arrays: Arrays, expected: list[str]) -> None:
    with pytest.raises(DataError) as raised:
        run(tmp_path, arrays)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/data.npz: ")
    assert "\n" not in message
    assert all(part in message for part in expected), message
    assert [path.name for path in (tmp_path / "root").iterdir()] == [".ingest.lock"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, "has no site, which dataset.slice_columns asks for; it holds x, y"),
        ({"site": np.zeros(60)}, "slice column site is float64; save strings, integers or booleans"),
        ({"site": np.zeros(9, int)}, "slice column site has shape [9], but there are 60 examples"),
    ],
)
def test_a_bad_slice_column_is_named(tmp_path: Path, columns: Arrays, expected: str) -> None:
    with pytest.raises(DataError) as raised:
        run(tmp_path, {**one_set(), **columns}, slice_columns=("site",))
    assert expected in str(raised.value)


def test_a_multi_input_example_is_named_by_its_number(tmp_path: Path) -> None:
    a, b = np.zeros((20, 2)), np.random.default_rng(0).normal(size=(20, 2))
    b[6, 1] = np.nan
    with pytest.raises(DataError, match=r"example 6 of y: input b is nan at \[1\]"):
        run(tmp_path, {"x_a": a, "x_b": b, "y": np.arange(20) % 2})


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    def error_of(path: Path) -> str:
        with pytest.raises(DataError) as raised:
            ingest(settings=DatasetSettings(source=str(path)), root=tmp_path / "root")
        return str(raised.value)

    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    assert "is not a .npz archive, or is cut short" in error_of(text)
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert "holds one array and not a .npz archive" in error_of(tmp_path / "single.npz")
    np.savez(tmp_path / "whole.npz", **one_set())
    cut = tmp_path / "cut.npz"
    cut.write_bytes((tmp_path / "whole.npz").read_bytes()[:-40])
    assert "is not a .npz archive, or is cut short" in error_of(cut)
    with zipfile.ZipFile(tmp_path / "foreign.npz", "w") as archive:
        archive.writestr("y", "hello")
        archive.writestr("x", "hello")
    assert "y is not an array" in error_of(tmp_path / "foreign.npz")
    damaged = bytearray((tmp_path / "whole.npz").read_bytes())
    damaged[200] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    assert "x cannot be read" in error_of(tmp_path / "damaged.npz")
    encrypted = bytearray((tmp_path / "whole.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0 of the flags, in both of a member's headers
        start = -1
        while (start := encrypted.find(signature, start + 1)) >= 0:
            encrypted[start + flags] |= 1
    (tmp_path / "encrypted.npz").write_bytes(encrypted)
    assert "cannot be read" in error_of(tmp_path / "encrypted.npz")
    assert "there is no such file or folder" in error_of(tmp_path / "absent.npz")
    (tmp_path / "table.csv").write_text("1,2")
    assert "is not a kind of file that can be read; use digits, fashion-mnist, breast-cancer, diabetes, a .npz file" in error_of(
        tmp_path / "table.csv"
    )
