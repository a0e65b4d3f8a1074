"""What a command that goes on for long does when it is told to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Let SIGTERM, a service manager's or a CI system's stop, raise ``KeyboardInterrupt`` within the context, as Ctrl-C does.

    For the main thread only.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
