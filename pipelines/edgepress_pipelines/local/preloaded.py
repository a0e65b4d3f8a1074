"""An interpreter that has imported what tasks need, and forks for each of them.

    python -m edgepress_pipelines.local.preloaded SOCKET WHEN MODULE…

``SOCKET`` is the descriptor of a listening socket. ``WHEN`` is ``at-once``, or ``when-needed`` to import the modules with the first task:
a run whose tasks all come from the cache then imports none. A task is a process of its own. It begins as an interpreter that has just
imported the modules: TensorFlow starts its threads and opens its devices when it first computes, never on import, and OpenBLAS ends its
threads before a fork.

It ends, with every task it started, when its standard input closes: the engine is gone then.
"""

import atexit
import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import socket
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import NamedTuple

from edgepress_pipelines.local.task_python import LENGTH_BYTES


class Request(NamedTuple):
    """A task, as ``task_python`` asks for it.

    Attributes:
        arguments: of a Python interpreter: ``-m``, a module's name and its arguments.
        directory: to run in.
        environment: of the asking process.
        output: descriptors of its standard output and error.
    """

    arguments: list[str]
    directory: str
    environment: dict[str, str]
    output: list[int]


def serve(listener: socket.socket, when: str, modules: Sequence[str]) -> None:
    """Run tasks until standard input closes."""
    running: dict[socket.socket, ForkProcess] = {}
    if when == "when-needed" and 0 in wait([0, listener]):
        return
    _preload(modules)
    while True:
        ready = wait([0, listener, *running, *(process.sentinel for process in running.values())])
        if 0 in ready:
            break
        for asking, process in list(running.items()):
            if process.sentinel in ready:
                process.join()
                assert process.exitcode is not None
                with contextlib.suppress(OSError):  # whoever asked is gone
                    asking.sendall(process.exitcode.to_bytes(LENGTH_BYTES, "big", signed=True))
            elif asking in ready:  # it sends nothing more, so this is its end
                process.kill()
                process.join()
            else:
                continue
            del running[asking]
            asking.close()
        if listener in ready:
            asking, _ = listener.accept()
            try:
                running[asking] = _start(asking, [listener, *running])
            except (OSError, ValueError):  # its end arrived in place of its request, or nothing can be forked: it meets the same end
                asking.close()
                traceback.print_exc()
    for process in running.values():
        process.kill()
        process.join()


def _preload(modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(Exception):  # the task that needs it meets the same error, and tells it in its own log
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else each task's collector would write to, and so copy, every page of what was imported


def _start(asking: socket.socket, inherited: list[socket.socket]) -> ForkProcess:
    request = _receive(asking)
    process = multiprocessing.get_context("fork").Process(target=_become_task, args=(request, [asking, *inherited]))
    process.start()
    for descriptor in request.output:
        os.close(descriptor)
    return process


def _receive(asking: socket.socket) -> Request:
    length, output, _, _ = socket.recv_fds(asking, LENGTH_BYTES, 2)
    text = asking.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
    return Request(**json.loads(text), output=output)


def _become_task(request: Request, inherited: list[socket.socket]) -> None:
    """What an interpreter started with the request's arguments would do; in the forked process."""
    for opened in inherited:
        opened.close()
    null = os.open(os.devnull, os.O_RDONLY)
    for standard, descriptor in enumerate([null, *request.output]):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(request.directory)
    os.environ.update(request.environment)
    flag, module, *arguments = request.arguments
    assert flag == "-m", request.arguments
    sys.argv = ["-m", *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - a forked process of multiprocessing ends without them


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:])
