"""A task for tests of the interpreters that tasks run in: does what its first argument says."""

import atexit
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

HEAVY = "xml.dom.minidom"
"""A module that stands for a library which takes long to import; nothing else here imports it."""


def main() -> None:
    does = sys.argv[1]
    if does == "describe":
        atexit.register(lambda: print("at exit", file=sys.stderr))
        print("on standard error", file=sys.stderr)
        described = {
            "preloaded": HEAVY in sys.modules,
            "pid": os.getpid(),
            "parent": os.getppid(),
            "of_the_task": os.environ.get("OF_THE_TASK"),
            "directory": str(Path.cwd()),
            "arguments": sys.argv[:-1],  # the last is the function's name
            "module": sys.modules["__main__"].__file__,
        }
        print(json.dumps(described))
    elif does == "exit-3":
        sys.exit(3)
    elif does == "exit-text":
        sys.exit("a reason")
    elif does == "raise":
        raise ValueError("of the task")
    elif does == "be-killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does == "lose-a-thread":
        threading.Thread(target=_end_later).start()
    elif does == "import-broken":
        __import__("broken")
    elif does == "wait":
        print(os.getpid(), flush=True)
        time.sleep(600)


def _end_later() -> None:
    time.sleep(0.3)
    print("the thread is done", file=sys.stderr)


if __name__ == "__main__":
    main()
