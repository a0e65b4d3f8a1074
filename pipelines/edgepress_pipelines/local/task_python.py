"""Takes Python's place where KFP's local runner starts a task: a task that computes with TensorFlow goes to the preloaded interpreter.

    python -I -S task_python.py FOLDER FUNCTION[,FUNCTION…] ARGUMENT…

``ARGUMENT…`` are those of a Python interpreter. Every other task becomes that interpreter at once. Only the standard library is imported,
and only what is needed: this starts once for each task.
"""

import os
import sys

SOCKET_NAME = "preloaded"
LENGTH_BYTES = 4
"""A request is its length, with standard output and error attached, and then JSON; the answer is an exit status of the same length."""


def main() -> None:
    """Run the task, here or there; ends with its exit status."""
    folder, functions, *arguments = sys.argv[1:]
    if _function(arguments) in functions.split(","):
        sys.exit(_hand_over(folder, arguments))
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - the same interpreter, without a shell


def _function(arguments: list[str]) -> str:
    """Name of the component's function, which KFP gives to every task."""
    return arguments[arguments.index("--function_to_execute") + 1] if "--function_to_execute" in arguments else ""


def _hand_over(folder: str, arguments: list[str]) -> int | str:
    """Have the preloaded interpreter run the task on this process's output; gives its exit status, or why there is none."""
    import json
    import socket

    request = json.dumps({"arguments": arguments, "directory": os.getcwd(), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as preloaded:
        try:
            preloaded.connect(f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}/{SOCKET_NAME}")  # a socket's path is limited to 107 characters
            socket.send_fds(preloaded, [len(request).to_bytes(LENGTH_BYTES, "big")], [1, 2])
            preloaded.sendall(request)
            answer = preloaded.recv(LENGTH_BYTES, socket.MSG_WAITALL)
        except OSError as error:
            return f"the interpreter that preloads TensorFlow cannot be reached ({error.strerror})"
    if len(answer) < LENGTH_BYTES:
        return "the interpreter that preloads TensorFlow has ended, or could not start this task"
    status = int.from_bytes(answer, "big", signed=True)
    return status if status >= 0 else 128 - status  # as a shell tells of a signal


if __name__ == "__main__":
    main()
