"""Files that are there whole or not at all, whenever power goes."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepress.errors import InputError, IntegrityError


def check_regular(path: Path) -> None:
    """Refuse what is not a file of its own: a link leads elsewhere, and reading a FIFO or a device may never end.

    Raises:
        IntegrityError: it is a link, a FIFO, a socket or a device.
        OSError: there is nothing.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise IntegrityError(f"{path}: is a link, and a bundle holds plain files only; fetch it again")
    if not stat.S_ISREG(mode):
        raise IntegrityError(f"{path}: is no file (a FIFO, socket or device), and a bundle holds plain files only; fetch it again")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary sibling, fsync it, rename it into place, and fsync its directory.

    Raises:
        OSError: the disk is full or the directory cannot be written; ``path`` is then as it was before.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def fsync_directory(directory: Path) -> None:
    """Make renames within a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_directory(output: Path) -> Iterator[Path]:
    """Build a directory under a temporary sibling's name and rename it to ``output`` when the block ends without an error.

    An error removes what was built. ``output``'s parent exists; ``output`` itself does not, or is empty.

    Raises:
        InputError: ``output`` holds something already.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; name a directory that does not")
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent))
    temporary.chmod(0o755)  # mkdtemp closes it to everybody else
    try:
        yield temporary
        for path in (temporary, *temporary.rglob("*")):
            fsync_directory(path)  # a file is synced the same way
        os.replace(temporary, output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(output.parent)
