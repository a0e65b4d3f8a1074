"""The one thread that looks whether a run is due, whenever the core says that it is time."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from edgepress.telemetry import CheckOutcome
from edgepress_pipelines.trigger.receiver.core import Answer, ReceiverState, receive, throttle
from edgepress_pipelines.trigger.receiver.events import Event
from edgepress_pipelines.trigger.receiver.pending import Delays, begin, due_at, end, mark

CHECK_LIMIT_S = 1800.0
"""Three times what the CronJob's check is given. Each request of a check has its own timeout; this is for what nobody foresaw."""

logger = logging.getLogger(__name__)

Check = Callable[[], CheckOutcome]
"""Looks whether a run is due and starts one that is. Raises anything when it cannot; then it is tried again, later each time."""


class Worker:
    """Holds the state of the core between threads: requests go in, checks come out, one at a time.

    The first check is due at once: events of the time when no receiver ran were told to nobody.

    Args:
        check: runs in the worker's thread.
        ended: is told of each check that ended; ``failed`` for one that raised.
        delays: between events and checks.
        initial: what is known at the start.
        check_limit_s: of one check; a thread cannot be ended from outside, so one that takes longer is a defect of the whole worker.
    """

    def __init__(
        self,
        check: Check,
        ended: Callable[[CheckOutcome], None] = lambda _: None,
        delays: Delays | None = None,
        initial: ReceiverState | None = None,
        check_limit_s: float = CHECK_LIMIT_S,
    ) -> None:
        self._check = check
        self._ended = ended
        self._delays = delays or Delays()
        begun = initial or ReceiverState()
        long_ago = time.monotonic() - self._delays.postpone_at_most_s - self._delays.debounce_s
        self._state = replace(begun, pending=mark(begun.pending, long_ago))
        self._changed = threading.Condition()
        self._check_limit_s = check_limit_s
        self._check_begun_s: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="checks", daemon=True)

    def start(self) -> None:
        """Begin to check."""
        self._thread.start()

    def throttle(self) -> float:
        """Let a request in; gives after how many seconds to ask again, 0 when it is let in."""
        with self._changed:
            self._state, retry_after_s = throttle(self._state, time.monotonic())
            self._changed.notify_all()
            return retry_after_s

    def receive(self, events: Sequence[Event], watched: tuple[str, ...]) -> Answer:
        """Take in a request's events."""
        with self._changed:
            self._state, answer = receive(self._state, events, watched, time.monotonic())
            self._changed.notify_all()
            return answer

    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    def defect(self) -> str | None:
        """Why events lead to no more checks; None when they do."""
        if not self._thread.is_alive():
            return "the thread that checks has ended"
        begun_s = self._check_begun_s
        if begun_s is not None and time.monotonic() - begun_s > self._check_limit_s:
            return f"a check has been under way for more than {self._check_limit_s:g} s"
        return None

    def stop(self, grace_s: float) -> bool:
        """Check a last time if anything is left that needs it, and wait for that; gives whether it ended in time.

        What was accepted a moment ago is not left to the next receiver, whose first check may have come before it.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(grace_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while self._wait_until_due():
            self._check_once()
        if due_at(self._state.pending, self._delays) is not None:
            self._check_once()

    def _check_once(self) -> None:
        with self._changed:
            self._state = replace(self._state, pending=begin(self._state.pending))
        self._check_begun_s = time.monotonic()
        outcome = self._look()
        self._check_begun_s = None
        with self._changed:
            pending = end(self._state.pending, time.monotonic(), self._delays, succeeded=outcome != "failed")
            self._state = replace(self._state, pending=pending)
        self._ended(outcome)

    def _wait_until_due(self) -> bool:
        """Wait until a check is due. False when the receiver stops."""
        with self._changed:
            while not self._stopping:
                due_s = due_at(self._state.pending, self._delays)
                now_s = time.monotonic()
                if due_s is not None and due_s <= now_s:
                    return True
                self._changed.wait(None if due_s is None else due_s - now_s)
            return False

    def _look(self) -> CheckOutcome:
        try:
            return self._check()
        except Exception as error:  # noqa: BLE001 - a thread that ended here would never check again, and nobody would notice
            from edgepress.task import describe_error

            message, _ = describe_error(error)
            logger.error("the check failed and is tried again: %s", message, extra={"error": type(error).__name__})  # noqa: TRY400
            return "failed"
