"""One benchmark at a time on a machine: two at once would measure each other.

A pod has a ``/tmp`` of its own, so on a cluster this keeps apart what runs in one pod and nothing else. There a node that only
benchmarks are scheduled onto is what keeps neighbours away.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MACHINE_LOCK = Path("/tmp/edgepress-benchmark.lock")  # noqa: S108 - opened below without following links or trusting its content
"""The lock file that all benchmarks under this ``/tmp`` share, so not below TMPDIR, which differs between users and runs."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file for the block; waits, and says so, while another process holds it.

    The kernel releases the lock when its holder ends, however it ends. The file stays.

    Raises:
        OSError: the lock file cannot be made or opened.
    """
    descriptor = _open_shared(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"benchmark: waiting for another benchmark on this machine to end (lock {path})", flush=True)
            began = time.monotonic()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            print(f"benchmark: going on after waiting {time.monotonic() - began:.0f} s", flush=True)
        yield
    finally:
        os.close(descriptor)


def _open_shared(path: Path) -> int:
    """Open for locking, whoever made the file: the kernel refuses O_CREAT on another user's file in a sticky directory."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            try:
                return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
