"""So many connections at once, and a place for a newcomer although idle ones hold them all.

Whoever connects can hold a place without a word, again and again, so a deadline alone would leave nobody else a place. When all are taken,
the connection that has waited longest without its sender having been recognised is closed for the new one: to keep a sender out, someone
must open a whole set of connections within the milliseconds that its header takes. A limit for each remote address would be no help: behind
an ingress or a NAT all senders have one address, and an attacker in the cluster has as many as pods.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

EVICTION_S = 1.0
"""For the thread of a connection that was closed to notice it, which takes milliseconds."""


class Places:
    """Which connections are open, oldest first.

    Args:
        limit: of connections at once.
        crowded_out: is told of each connection that was closed for want of a place.
    """

    def __init__(self, limit: int, crowded_out: Callable[[], None]) -> None:
        self.limit = limit
        self._crowded_out = crowded_out
        self._waiting: dict[socket.socket, None] = {}
        self._held: set[socket.socket] = set()
        self._evicted: set[socket.socket] = set()
        self._changed = threading.Condition()

    def take(self, connection: socket.socket) -> bool:
        """Give a new connection a place, if need be that of another; False when there is none to be had."""
        with self._changed:
            if self._is_full():
                self._crowded_out()
                if not self._waiting:
                    return False
                self._evict(next(iter(self._waiting)))
                if not self._changed.wait_for(lambda: not self._is_full(), EVICTION_S):
                    return False
            self._waiting[connection] = None
            return True

    def hold(self, connection: socket.socket) -> None:
        """The sender has been recognised: its connection is closed for nobody."""
        with self._changed:
            if connection in self._waiting:
                del self._waiting[connection]
                self._held.add(connection)

    def spare(self, connection: socket.socket) -> None:
        """The request has been answered: its connection may be closed for another."""
        with self._changed:
            if connection in self._held:
                self._held.remove(connection)
                self._waiting[connection] = None

    def leave(self, connection: socket.socket) -> None:
        """The connection is closed."""
        with self._changed:
            self._waiting.pop(connection, None)
            self._held.discard(connection)
            self._evicted.discard(connection)
            self._changed.notify_all()

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until all have left; False when some have not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count() == 0, timeout_s)

    def _evict(self, connection: socket.socket) -> None:
        del self._waiting[connection]
        self._evicted.add(connection)
        with suppress(OSError):  # its thread has just closed it
            connection.shutdown(socket.SHUT_RDWR)

    def _is_full(self) -> bool:
        return self._count() >= self.limit

    def _count(self) -> int:
        return len(self._waiting) + len(self._held) + len(self._evicted)
