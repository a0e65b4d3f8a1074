"""Named arrays in a ``.npz`` file: the same bytes for the same arrays, and never unpickled."""

import math
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
    """Read a ``.npz`` file that holds its arrays uncompressed, as ``write_archive`` leaves it.

    What its members declare is held against the file's own size before anything is allocated, so a small file cannot fill the memory.

    Raises:
        IntegrityError: it is not such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise IntegrityError(f"{path}: holds compressed arrays, which may unpack to any size; make it again")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise IntegrityError(f"{path}: declares more than it holds; make it again")
            return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path}: is not a readable .npz file of plain arrays") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise ValueError(f"{member.filename} is not as long as its header says")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
