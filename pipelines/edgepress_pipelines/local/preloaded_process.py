"""Starting and ending the interpreter that preloads TensorFlow, for the engine."""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgepress_pipelines.local import task_python

PRELOADED_MODULES = ("kfp.dsl.executor_main", "edgepress.models.keras", "tensorflow_model_optimization")
"""What every task that computes with TensorFlow spends its first seconds on. EdgePress's own modules load in milliseconds."""


@contextmanager
def preloaded_interpreter(functions: Sequence[str], modules: Sequence[str] = PRELOADED_MODULES) -> Iterator[str]:
    """Have an interpreter import modules when it is first needed, and run tasks in forks of it.

    Args:
        functions: of the components whose tasks run there.
        modules: to import before the first of them.

    Yields:
        What to start a task with in Python's place, in a shell's words.
    """
    with tempfile.TemporaryDirectory(prefix="edgepress-preloaded-") as folder:
        with socket.socket(socket.AF_UNIX) as listener:  # open in that process alone: whoever asks must be refused when it has ended
            opened = os.open(folder, os.O_RDONLY)
            listener.bind(f"/proc/self/fd/{opened}/{task_python.SOCKET_NAME}")  # a socket's path is limited to 107 characters
            os.close(opened)
            listener.listen()
            process = subprocess.Popen(  # noqa: S603 - no shell, no argument from outside
                [sys.executable, "-m", "edgepress_pipelines.local.preloaded", str(listener.fileno()), *modules],
                stdin=subprocess.PIPE,  # held open: its end tells the interpreter to end
                pass_fds=[listener.fileno()],
                env=os.environ | {"_KFP_RUNTIME": "true"},  # else importing kfp.dsl imports its compiler and clients too
            )
        try:
            yield shlex.join([sys.executable, "-I", "-S", str(Path(task_python.__file__)), folder, ",".join(functions)])
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
