"""A ``.npz`` file of numpy arrays, read without ever unpickling.

One set of examples, out of which EdgePress takes validation and test:

    x                 the one input, [n, ...]; or x_<input> for each of several named inputs
    y                 labels [n]: integers from 0 without gaps, or strings; of a regression numbers, [n] or [n, targets]; of a detection
                      of anomalies 0 for normal and 1 for anomalous, or strings of which one is ``normal``
    <column>          strings, integers or booleans [n], for each name in ``dataset.slice_columns``
    <split_by>        groups or times [n], under the name that ``dataset.split_by`` gives

Given splits; a missing validation or test is taken out of train:

    x_train, y_train, x_validation, y_validation, x_test, y_test; or x_<input>_train, ...; and <column>_train, ...

In both: ``label_names``, names of classes or targets [classes] of str, optional. uint8 inputs are pixels: scaled as ``dataset.scaling``
says, and [n, height, width] becomes [n, height, width, 1]; int32 stays int32, other numbers become float32 as they are. Inputs keep the
order of the file.
"""

import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import SPLIT_NAMES, SplitName
from edgepress.errors import DataError, one_line
from edgepress.ingest.content import Examples, SourceContent
from edgepress.ingest.labels import LabelArray, read_labels

UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
"""What numpy and zipfile raise for damaged files: RuntimeError for an encrypted one and, as its subclass NotImplementedError, for an
unknown compression, TokenError for a header that is cut, MemoryError for a shape that was made up."""
LABEL_NAMES_KEY = "label_names"
SINGLE_INPUT = "x"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_SPLIT_SUFFIX = re.compile(rf"_({'|'.join(SPLIT_NAMES)})$")


@dataclass(frozen=True)
class _Layout:
    """Which key holds what. ``suffixes``: split -> what its keys end in. ``inputs``: input name -> what its keys begin with."""

    suffixes: Mapping[SplitName, str]
    inputs: Mapping[str, str]


def read_npz(path: Path, source: str, settings: DatasetSettings) -> SourceContent:
    """Read a ``.npz`` file.

    Raises:
        DataError: the file, a key, or an array's type or shape is wrong.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from error
    with file:
        # Not by its path: numpy leaves a file open that turns out to be no archive.
        try:
            archive = np.load(file, allow_pickle=False)
        except UNREADABLE as error:
            raise DataError(f"{source}: is not a .npz archive, or is cut short; write it with numpy.savez(file, x=..., y=...)") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{source}: holds one array and not a .npz archive; write it with numpy.savez(file, x=..., y=...)")
        with archive:
            return _read_archive(archive, path.stem, source, settings)


def _read_archive(archive: Any, name: str, source: str, settings: DatasetSettings) -> SourceContent:
    keys = list(archive.files)
    layout = _find_layout(keys, source)

    def read(key: str) -> NDArray[Any]:
        return _read_array(archive, key, source)

    columns = {split: [f"{column}{suffix}" for column in settings.slice_columns] for split, suffix in layout.suffixes.items()}
    used = {LABEL_NAMES_KEY}
    for split, suffix in layout.suffixes.items():
        used |= {
            f"y{suffix}",
            *([f"{settings.split_by}{suffix}"] if settings.split_by else []),
            *(f"{prefix}{suffix}" for prefix in layout.inputs.values()),
            *columns[split],
        }
    _refuse_misspelt(keys, used, source)
    label_names = _read_label_names(read(LABEL_NAMES_KEY), source) if LABEL_NAMES_KEY in keys else None
    arrays = {split: LabelArray(f"y{suffix}", read(f"y{suffix}")) for split, suffix in layout.suffixes.items()}
    names, labels = read_labels(settings.learning_task, arrays, label_names, source)
    given = {}
    for split, suffix in layout.suffixes.items():
        count = len(labels[split])
        given[split] = Examples(
            inputs={input_name: _read_input(read, f"{prefix}{suffix}", count, source) for input_name, prefix in layout.inputs.items()},
            labels=labels[split],
            slices={
                column: _read_column(read, key, keys, count, source)
                for column, key in zip(settings.slice_columns, columns[split], strict=True)
            },
            where=_naming(source, layout, split),
            split_by=_read_split_by(read, f"{settings.split_by}{suffix}", keys, count, source) if settings.split_by else None,
        )
    unused = [key for key in keys if key not in used]
    if unused:
        print(f"{source}: arrays not used: {', '.join(unused)}")
    return SourceContent(name=name, labels=names, given=given)


def _find_layout(keys: list[str], source: str) -> _Layout:
    splits = [split for split in SPLIT_NAMES if f"y_{split}" in keys]
    if "y" in keys and splits:
        raise DataError(
            f"{source}: has both y and y_{splits[0]}; keep either one set of examples (x, y) or given splits (x_train, y_train, ...)"
        )
    if "y" not in keys and "train" not in splits:
        raise DataError(
            f"{source}: has neither y nor y_train; it holds {', '.join(keys) or 'nothing'}; expected x and y, or x_train and y_train"
        )
    suffixes: dict[SplitName, str] = {"train": ""} if "y" in keys else {split: f"_{split}" for split in splits}
    train_suffix = suffixes["train"]
    inputs: dict[str, str] = {}
    for key in keys:
        if not key.endswith(train_suffix) or not re.match(r"x(_|$)", key):
            continue
        prefix = key.removesuffix(train_suffix)
        name = prefix.removeprefix("x").removeprefix("_") or SINGLE_INPUT
        if not _NAME.fullmatch(name) or name in inputs:
            raise DataError(f"{source}: {key} does not name an input of its own by letters, digits and underscores; rename it to x_<input>")
        inputs[name] = prefix
    if not inputs:
        raise DataError(f"{source}: has y{train_suffix} but no x{train_suffix}; it holds {', '.join(keys)}")
    return _Layout(suffixes=suffixes, inputs=inputs)


def _refuse_misspelt(keys: list[str], used: set[str], source: str) -> None:
    """Refuse what looks like an input or labels but fits no split: it would be left out without a word."""
    for key in keys:
        if key not in used and re.match(r"[xy](_|$)", key):
            splits = ", ".join(SPLIT_NAMES)
            raise DataError(f"{source}: {key} is not understood beside {', '.join(sorted(used & set(keys)))}; the splits are {splits}")


def _read_array(archive: Any, key: str, source: str) -> NDArray[Any]:
    if key not in archive.files:
        raise DataError(f"{source}: has no {key}; it holds {', '.join(archive.files)}")
    try:
        array = archive[key]
    except UNREADABLE as error:
        raise DataError(f"{source}: {key} cannot be read ({_reason(error)}); save plain numbers or strings, not Python objects") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{source}: {key} is not an array; write the file with numpy.savez")
    return array


def _read_input(read: Callable[[str], NDArray[Any]], key: str, count: int, source: str) -> NDArray[Any]:
    array = read(key)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{source}: {key} is {array.dtype}; inputs are numbers")
    if array.ndim == 0 or len(array) != count:
        examples = "no examples" if array.ndim == 0 else f"{len(array)} examples"
        raise DataError(f"{source}: {key} holds {examples}, but there are {count} labels; both need one entry per example")
    if array.ndim == 1:
        raise DataError(f"{source}: {key} has shape {list(array.shape)}; an input needs a feature axis: reshape it to [{count}, 1]")
    if 0 in array.shape[1:]:
        raise DataError(f"{source}: {key} has shape {list(array.shape)}; no axis may be empty")
    return array


def _read_column(read: Callable[[str], NDArray[Any]], key: str, keys: list[str], count: int, source: str) -> NDArray[np.str_]:
    if key not in keys:
        raise DataError(f"{source}: has no {key}, which dataset.slice_columns asks for; it holds {', '.join(keys)}")
    array = read(key)
    if array.shape != (count,):
        raise DataError(f"{source}: slice column {key} has shape {list(array.shape)}, but there are {count} examples")
    if array.dtype.kind not in "Uiub":
        raise DataError(
            f"{source}: slice column {key} is {array.dtype}; save strings, integers or booleans, such as groups of a continuous value"
        )
    return array.astype(np.str_)


def _read_split_by(read: Callable[[str], NDArray[Any]], key: str, keys: list[str], count: int, source: str) -> NDArray[Any]:
    if key not in keys:
        raise DataError(f"{source}: has no {key}, which dataset.split_by asks for; it holds {', '.join(keys)}")
    array = read(key)
    if array.shape != (count,) or array.dtype.kind not in "UiubfM":
        raise DataError(f"{source}: {key} is {array.dtype}{list(array.shape)}; a group or time of each of the {count} examples is needed")
    if (array.dtype.kind == "f" and not np.isfinite(array).all()) or (array.dtype.kind == "M" and np.isnat(array).any()):
        raise DataError(f"{source}: {key} has examples without a time; give each one")
    return array


def _read_label_names(array: NDArray[Any], source: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(f"{source}: {LABEL_NAMES_KEY} is {array.dtype}{list(array.shape)}; it needs one string per class")
    names = tuple(str(name) for name in array)
    if len(set(names)) != len(names) or "" in names:
        raise DataError(f"{source}: {LABEL_NAMES_KEY} has an empty name or one that stands twice")
    return names


def _naming(source: str, layout: _Layout, split: SplitName) -> Callable[[int], str]:
    suffix = layout.suffixes[split]
    prefixes = list(layout.inputs.values())
    key = f"{prefixes[0]}{suffix}" if len(prefixes) == 1 else f"y{suffix}"
    return lambda index: f"{source}: {key}[{index}]" if len(prefixes) == 1 else f"{source}: example {index} of {key}"


def _reason(error: BaseException) -> str:
    if isinstance(error, ValueError) and "allow_pickle" in str(error):
        return "it holds pickled Python objects, which are never loaded"
    return one_line(error) or type(error).__name__
