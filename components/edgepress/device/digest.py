"""Content digests: ``sha256:<64 hex digits>`` of bytes, files and directories."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

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
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return digest_entries({relative: digest_file(path) for relative, path in files.items() if relative not in left_out})


def digest_entries(digests: Mapping[str, str]) -> str:
    """Digest of a directory, wherever it is kept, from its files' digests by relative POSIX path."""
    return digest_bytes("".join(f"{relative}\0{digests[relative]}\n" for relative in sorted(digests)).encode())
