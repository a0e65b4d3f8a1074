"""A lease in an object store: of all that want to do something, one at a time does, on however many machines they are.

    <folder>/000000000007.json     the lease that holds, or held last; each new one takes the next number

A number is written once (``put_if_absent``), so of all that want the next one exactly one gets it. A lease ends when its holder rewrites it
as released, or when somebody has watched it unchanged for ``lease_s``: its holder has died. That is measured on the watcher's own clock,
so clocks need not agree. The newest lease is never deleted; a latecomer that writes a number below it finds it there and has lost.

A holder rewrites its lease as renewed before each act that only one may do, and does not act when it is late or somebody has taken over.
So however long all its attempts take, each begins with at least half a lease ahead, of which one act must take a fraction.
"""

import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from edgepress.contracts.strict import StrictModel
from edgepress.errors import StorageError
from edgepress.storage.store import ObjectStore
from edgepress.storage.uri import join_key

POLL_INTERVAL_S = 1.0
_NAME = re.compile(r"\d{12}\.json")


class LeaseRecord(StrictModel):
    """What a lease's object holds. ``holder`` is host, process and a random part, so that it tells writers apart.

    ``renewals`` counts, so that each renewal changes the content: that is what watchers look at.
    """

    schema_version: Literal[1] = 1
    holder: str
    claimed_unix_s: float
    renewals: int = 0
    released: bool = False


@dataclass(frozen=True)
class Clock:
    """Time, so that tests need not wait. ``now_s`` is monotonic."""

    now_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


class HeldLease:
    """A lease while it is held.

    Args:
        store, folder, key: where it is.
        record: its content.
        doing, lease_s, clock: as in ``hold_lease``.
        since_s: when it was taken, or rather a moment before.
    """

    def __init__(
        self, store: ObjectStore, folder: str, key: str, record: LeaseRecord, *, doing: str, since_s: float, lease_s: float, clock: Clock
    ) -> None:
        self._store = store
        self._folder = folder
        self._key = key
        self._record = record
        self._doing = doing
        self._since_s = since_s
        self._lease_s = lease_s
        self._clock = clock

    def renew(self) -> None:
        """Call this right before each act that only one may do: from now on a whole lease is left for it.

        Raises:
            StorageError: so much time has passed that somebody else may take this holder for dead, or somebody has; or the store cannot be
                reached or refuses. The holder must not act.
        """
        began_s = self._clock.now_s()
        self._check_on_time(began_s)
        self._record = self._record.model_copy(update={"renewals": self._record.renewals + 1})
        self._store.put_bytes(self._key, self._record.model_dump_json().encode())
        if max(_leases(self._store, self._folder), default=self._key) != self._key:
            raise StorageError(f"another process has taken over {self._doing}; look at what it has done, or try again")
        self._since_s = began_s
        self._check_on_time(self._clock.now_s())

    def _check_on_time(self, now_s: float) -> None:
        if now_s - self._since_s > self._lease_s / 2:
            raise StorageError(
                f"{self._doing} took so long that another process may have taken over; look at what it has done, or try again"
            )

    def release(self) -> None:
        """Let the next one in at once. Whoever has taken over holds a higher number: this one is older, which nobody heeds and the next
        holder deletes."""
        # What the lease was for may be done, which a store that fails now must not make look like an error; then time ends the lease.
        with suppress(StorageError):
            self._store.put_bytes(self._key, self._record.model_copy(update={"released": True}).model_dump_json().encode())


@contextmanager
def hold_lease(
    store: ObjectStore,
    place: str,
    *,
    doing: str,
    lease_s: float,
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[HeldLease]:
    """Hold a lease; waits while another holds it, at most ``lease_s`` for one that has died.

    Args:
        store, place: the key below which the leases on one thing are, and nothing else of such a name.
        doing: what its holder does, for messages, e.g. ``publishing digits``.
        lease_s: a holder silent for this long is taken for dead. Several times what one act takes at worst.
        tell: is given one line when there is somebody to wait for.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    folder = f"{join_key(place)}/"
    record = LeaseRecord(holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}", claimed_unix_s=time.time())
    watched: bytes | None = None
    watched_since_s = clock.now_s()
    told: set[str] = set()
    while True:
        newest = max(_leases(store, folder), default=None)
        content = None if newest is None else _read(store, newest)
        if content is not None and content != watched:
            watched, watched_since_s = content, clock.now_s()
            if not _is_released(content) and (holder := _holder(content)) not in told:
                told.add(holder)
                tell(f"waiting for {holder}, which is {doing}; silent for {lease_s:.0f} s, it is taken for dead")
        if newest is None or (content is not None and (_is_released(content) or clock.now_s() - watched_since_s >= lease_s)):
            since_s = clock.now_s()
            mine = _next_key(folder, newest)
            if _take(store, folder, mine, record):
                break
        else:
            clock.sleep_s(POLL_INTERVAL_S)
    held = HeldLease(store, folder, mine, record, doing=doing, since_s=since_s, lease_s=lease_s, clock=clock)
    try:
        yield held
    finally:
        held.release()


def _leases(store: ObjectStore, folder: str) -> list[str]:
    return [key for key in store.list_keys(folder) if _NAME.fullmatch(key.removeprefix(folder))]


def _next_key(folder: str, newest: str | None) -> str:
    number = 0 if newest is None else int(newest.removeprefix(folder).removesuffix(".json"))
    return f"{folder}{number + 1:012d}.json"


def _take(store: ObjectStore, folder: str, key: str, record: LeaseRecord) -> bool:
    content = record.model_dump_json().encode()
    # A write whose answer was lost is tried again and then finds its own object.
    if not store.put_if_absent(key, content) and _read(store, key) != content:
        return False
    keys = _leases(store, folder)
    if max(keys) != key:
        return False  # the number had been taken, given up and deleted while this process slept
    for older in keys:
        if older != key:
            store.delete(older)
    return True


def _read(store: ObjectStore, key: str) -> bytes | None:
    """A lease's content; None when it has been deleted since it was listed, so that there is a newer one."""
    try:
        return store.get_bytes(key)
    except StorageError:
        if store.exists(key):
            raise
        return None


def _is_released(content: bytes) -> bool:
    try:
        return LeaseRecord.model_validate_json(content).released
    except ValidationError:
        return False  # another release's; time decides


def _holder(content: bytes) -> str:
    try:
        return LeaseRecord.model_validate_json(content).holder
    except ValidationError:
        return "another process"
