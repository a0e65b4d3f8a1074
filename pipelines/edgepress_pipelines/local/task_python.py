"""Takes Python's place where KFP's local runner starts a task: the task runs in a fork of an interpreter that has imported its libraries.

    python -I -S task_python.py FOLDER ARGUMENT…

``ARGUMENT…`` are those of a Python interpreter; ``FOLDER`` holds a socket for each component's function whose tasks are taken over.
Anything else becomes that interpreter at once. Only the standard library is imported, and little of it: this starts once for each task.
"""

import os
import sys

LENGTH_BYTES = 4
"""A request is its length, with standard output and error attached, and then JSON; the answer is an exit status of the same length."""


def main() -> None:
    """Run the task, here or there; ends with its exit status."""
    folder, *arguments = sys.argv[1:]
    function = arguments[arguments.index("--function_to_execute") + 1] if "--function_to_execute" in arguments else ""
    if function and os.path.exists(f"{folder}/{function}"):  # noqa: PTH110 - pathlib takes longer to import than all of this
        sys.exit(_hand_over(folder, function, arguments))
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - the same interpreter, without a shell


def socket_path(folder: int, function: str) -> str:
    """Where a socket in an opened folder is. The folder's own path may be longer than the 107 characters that a socket's may have."""
    return f"/proc/self/fd/{folder}/{function}"


def _hand_over(folder: str, function: str, arguments: list[str]) -> int | str:
    """Have a preloaded interpreter run the task on this process's output; gives its exit status, or why there is none."""
    import json
    import socket

    request = json.dumps({"arguments": arguments, "directory": os.getcwd(), "environment": dict(os.environ)}).encode()  # noqa: PTH109 - as above
    with socket.socket(socket.AF_UNIX) as preloaded:
        try:
            preloaded.connect(socket_path(os.open(folder, os.O_RDONLY), function))
            socket.send_fds(preloaded, [len(request).to_bytes(LENGTH_BYTES, "big")], [1, 2])
            preloaded.sendall(request)
            answer = preloaded.recv(LENGTH_BYTES, socket.MSG_WAITALL)
        except OSError as error:
            return f"{function}: the interpreter that it is forked from cannot be reached ({error.strerror})"
    if len(answer) < LENGTH_BYTES:
        return f"{function}: the interpreter that it is forked from has ended, or cannot fork"
    status = int.from_bytes(answer, "big", signed=True)
    return status if status >= 0 else 128 - status  # as a shell tells of a signal


if __name__ == "__main__":
    main()
