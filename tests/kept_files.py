"""Where tests keep what takes long to make: ``${XDG_CACHE_HOME:-~/.cache}/edgepress/``, shared by all checkouts of a user."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def kept_folder(name: str) -> Path:
    """The folder for one kind of thing, e.g. ``controlplane``; made when it is not there."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "edgepress" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``: alone, or together with all who share it. The kernel lets go of it when its holder dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
