"""Content digests: ``sha256:<64 hex digits>`` of bytes, files and directories."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

_CHUNK_BYTES = 1 << 20


def digest_bytes(content: bytes) -> str:
    """Digest of a byte string."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_file(path: Path) -> str:
    """Digest of a file's content, read in chunks.

    Raises:
        OSError: the file cannot be read.
    """
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
    return f"sha256:{sha256.hexdigest()}"


def digest_tree(directory: Path, exclude: Iterable[str] = ()) -> str:
    """Digest of a directory: of the sorted list of relative POSIX paths, each with its file's digest.

    Empty directories do not count. ``exclude`` names relative paths to leave out.
    """
    left_out = set(exclude)
    sha256 = hashlib.sha256()
    for path in sorted(directory.rglob("*"), key=lambda path: path.relative_to(directory).as_posix()):
        relative = path.relative_to(directory).as_posix()
        if path.is_file() and relative not in left_out:
            sha256.update(f"{relative}\0{digest_file(path)}\n".encode())
    return f"sha256:{sha256.hexdigest()}"
