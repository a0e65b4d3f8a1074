"""Doing something on the side that must neither fail nor hold up what it is about."""

import queue
import threading
import time
from collections.abc import Callable

from edgepress.errors import one_line


class BestEffort:
    """Runs actions one after another on a thread of their own, which dies with the process.

    A timeout on a socket is no bound for a whole action: a name that does not resolve and a server that answers one byte at a time take
    longer. So the caller waits for the thread for a time, and then goes on without it.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._problems: list[str] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, action: Callable[[], None]) -> None:
        """Run an action after those submitted before it. Returns at once."""
        self._actions.put(action)

    def finish(self, timeout_s: float) -> str | None:
        """Wait for all actions, at most so long. Nothing can be submitted afterwards.

        Returns:
            Why not everything was done, in one line: the first action's error, or that time ran out. None when everything was.
        """
        self._actions.put(None)
        started = time.monotonic()
        self._thread.join(timeout_s)
        if self._problems:
            return self._problems[0]
        if self._thread.is_alive():
            return f"no answer within {time.monotonic() - started:.0f} s"
        return None

    def _run(self) -> None:
        while (action := self._actions.get()) is not None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - whatever it is, the task that this is about must go on; finish() tells it
                self._problems.append(one_line(error) or type(error).__name__)
