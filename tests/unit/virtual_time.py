"""Time that passes when somebody sleeps."""

from collections.abc import Callable

from edgepress.storage.lease import Clock


class VirtualTime:
    """A clock that moves when somebody sleeps; ``then`` happens during each sleep."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.seconds = 0.0
        self._then = then

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.seconds, sleep_s=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._then()
