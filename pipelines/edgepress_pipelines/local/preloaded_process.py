"""Starting and ending the interpreters that tasks are forked from, for the engine."""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepress_pipelines.local import task_python


@dataclass(frozen=True)
class Preloaded:
    """An interpreter that tasks are forked from.

    Attributes:
        functions: of the components whose tasks are.
        modules: that it imports. What takes long; the rest is imported by each task.
        when: ``at-once``, or ``when-needed``: with the first task.
    """

    functions: Sequence[str]
    modules: Sequence[str]
    when: str


@contextmanager
def preloaded_interpreters(interpreters: Sequence[Preloaded]) -> Iterator[str]:
    """Have interpreters wait for tasks to be forked from them.

    Yields:
        What to start a task with in Python's place, in a shell's words.
    """
    with tempfile.TemporaryDirectory(prefix="edgepress-preloaded-") as folder, ExitStack() as running:
        for interpreter in interpreters:
            running.enter_context(_running(interpreter, folder))
        yield shlex.join([sys.executable, "-I", "-S", task_python.__file__, folder])


@contextmanager
def _running(interpreter: Preloaded, folder: str) -> Iterator[None]:
    first, *others = interpreter.functions
    with socket.socket(socket.AF_UNIX) as listener:  # left open in that process alone: when it has ended, who asks must be refused
        opened = os.open(folder, os.O_RDONLY)
        listener.bind(task_python.socket_path(opened, first))
        os.close(opened)
        for function in others:
            (Path(folder) / function).symlink_to(first)
        listener.listen()
        process = subprocess.Popen(  # noqa: S603 - no shell, no argument from outside
            [sys.executable, "-m", "edgepress_pipelines.local.preloaded", str(listener.fileno()), interpreter.when, *interpreter.modules],
            stdin=subprocess.PIPE,  # held open: its end tells the interpreter to end
            pass_fds=[listener.fileno()],
            env=os.environ | {"_KFP_RUNTIME": "true"},  # else importing kfp.dsl imports its compiler and clients too
        )
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
