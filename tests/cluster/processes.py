"""Server processes that end with the process that started them, and say why they ended when they end too early."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_GRACE_S = 10.0
PATH = f"{os.defpath}:/usr/sbin:/sbin"
_PR_SET_PDEATHSIG = 1
_LOG_LINES = 20


class Server:
    """A context manager that runs one server in a process group of its own, with its output in a file.

    The kernel kills the server when the *thread* that entered the context ends (prctl(2)), so enter it from the main thread.

    Args:
        name: for messages.
        command: the program and its arguments.
        log: file for both output streams, overwritten.
        environment: what it has beside PATH, HOME and TMPDIR.
        stop_signal: that ends it; what is still there after STOP_GRACE_S is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._log = log
        self._environment = environment or {}
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._log.parent,
                env={"PATH": PATH, "HOME": str(self._log.parent), "TMPDIR": str(self._log.parent), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(self._stop_signal)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, f"{self._name} was not started"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is not running, although nobody stopped it."""
        return self._process is not None and self._process.poll() is not None

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def describe(self) -> str:
        """Its state and its last words, for an error message."""
        code = self._process.poll() if self._process else None
        state = "is running" if code is None else f"ended with code {code}"
        return f"{self._name} {state}; the end of {self._log}:\n" + "\n".join(self.output.splitlines()[-_LOG_LINES:])


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork, where nothing may be

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)  # the parent died before it was asked

    return ask
