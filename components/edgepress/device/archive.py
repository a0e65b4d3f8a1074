"""Named arrays in a ``.npz`` file: the same bytes for the same arrays, and never unpickled."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import IntegrityError


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a ``.npz`` file. Unlike ``numpy.savez`` it takes any name, ``file`` too."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Read a ``.npz`` file.

    Raises:
        IntegrityError: it is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path}: is not a readable .npz file of plain arrays") from error
