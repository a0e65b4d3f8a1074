"""Where a task's output goes. By file descriptor, because native libraries write there without asking Python."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAIN_TIMEOUT_S = 2.0
"""A child that outlives its task and holds the output open (a process pool's helper) holds up the task for no longer than this."""


@contextmanager
def output_into(path: Path) -> Iterator[None]:
    """Send standard output and error into a file, at its end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        with _replaced_by(descriptor):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def output_copied(path: Path) -> Iterator[None]:
    """Let standard output and error go where they go, and copy both into a file, in the order of writing.

    ``tee`` does it in a process of its own: a thread here could not run while a native library that holds Python's lock fills the pipe,
    and what a dying process wrote last would not arrive. In the copied output both streams become one, as they are in a pod's log.

    Raises:
        OSError: there is no ``tee``, or no process can be started; nothing has changed then.
    """
    stdout = os.dup(1)
    try:
        tee = subprocess.Popen(  # noqa: S603 - no shell, no argument from outside
            ["tee", "--", str(path)],  # noqa: S607 - of the image
            stdin=subprocess.PIPE,
            stdout=stdout,
            start_new_session=True,  # an interrupt ends the task, whose last words are still copied
        )
    finally:
        os.close(stdout)
    assert tee.stdin is not None
    try:
        with _replaced_by(tee.stdin.fileno()):
            tee.stdin.close()
            yield
    finally:
        try:
            tee.wait(DRAIN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            tee.returncode = 0  # left to the child that still writes; it ends with it


@contextmanager
def _replaced_by(descriptor: int) -> Iterator[None]:
    """Have descriptors 1 and 2 be another one, with every buffer emptied before and after."""
    _flush()
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        _flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for opened in saved:
            os.close(opened)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # of C's own buffers, which printf fills
