"""So many connections at once, and a place for a newcomer although idle ones hold them all. Pure.

Whoever connects can hold a place without a word, again and again, so a deadline alone would leave nobody else a place. When all are taken,
the connection that has waited longest without its sender having been recognised is closed for the new one: to keep a sender out, someone
must open a whole set of connections within the milliseconds that its header takes. A limit for each remote address would be no help: behind
an ingress or a NAT all senders have one address, and an attacker in the cluster has as many as pods.
"""

from typing import Generic, TypeVar

C = TypeVar("C")


class Places(Generic[C]):
    """Which connections are open, oldest first.

    Args:
        limit: of connections at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: dict[C, None] = {}
        self._held: set[C] = set()

    def take(self, newcomer: C) -> C | None:
        """Give a new connection a place; gives the one to be closed for want of places, which is the newcomer when all others are held."""
        closed = None
        if len(self._waiting) + len(self._held) >= self.limit:
            closed = next(iter(self._waiting), newcomer)
            self._waiting.pop(closed, None)
        if closed is not newcomer:
            self._waiting[newcomer] = None
        return closed

    def hold(self, connection: C) -> None:
        """The sender has been recognised: its connection is closed for nobody."""
        del self._waiting[connection]
        self._held.add(connection)

    def spare(self, connection: C) -> None:
        """The request has been answered: its connection may be closed for another."""
        if connection in self._held:
            self._held.remove(connection)
            self._waiting[connection] = None

    def leave(self, connection: C) -> None:
        """The connection is closed."""
        self._waiting.pop(connection, None)
        self._held.discard(connection)
