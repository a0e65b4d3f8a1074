"""One start at a time: whoever wants to start a run of a pipeline first holds its claim in the object store.

    claims/<name>/000000000007.json     the claim that holds, or held last; each new one takes the next number

A number is written once (``put_if_absent``), so of all that want the next one exactly one gets it. A claim ends when its holder rewrites it
as released, or when somebody has watched it unchanged for ``LEASE_S``: its holder has died. That is measured on the watcher's own clock,
so clocks need not agree. The newest claim is never deleted; a latecomer that writes a number below it finds it there and has lost.

A holder rewrites its claim as renewed before each request that could start a run, and sends none when it is late or somebody has taken
over. So however long all its attempts take, each begins with a whole lease ahead, of which one request takes a fraction.
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
from edgepress.storage import ObjectStore, join_key

LEASE_S = 300.0
"""A holder silent for this long is taken for dead. Looking at the cluster and one request to it take seconds, two minutes at worst."""
POLL_INTERVAL_S = 1.0
_CLAIM_NAME = re.compile(r"\d{12}\.json")


class StartClaim(StrictModel):
    """What a claim's object holds. ``holder`` is host, process and a random part, so that it tells writers apart.

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


class HeldClaim:
    """The claim while it is held.

    Args:
        store, folder, key: where it is.
        claim: its content.
        since_s: when it was taken, or rather a moment before.
        lease_s, clock: as in ``claim_start``.
    """

    def __init__(
        self, store: ObjectStore, folder: str, key: str, claim: StartClaim, *, since_s: float, lease_s: float, clock: Clock
    ) -> None:
        self._store = store
        self._folder = folder
        self._key = key
        self._claim = claim
        self._since_s = since_s
        self._lease_s = lease_s
        self._clock = clock

    def renew(self) -> None:
        """Call this right before each request that could start a run: from now on a whole lease is left for it.

        Raises:
            StorageError: so much time has passed that somebody else may take this holder for dead, or somebody has; or the store cannot be
                reached or refuses. The request must not be sent.
        """
        began_s = self._clock.now_s()
        self._check_on_time(began_s)
        self._claim = self._claim.model_copy(update={"renewals": self._claim.renewals + 1})
        self._store.put_bytes(self._key, self._claim.model_dump_json().encode())
        if max(_claims(self._store, self._folder), default=self._key) != self._key:
            raise StorageError("another trigger has taken over the start of this pipeline's runs; look at what it started, or try again")
        self._since_s = began_s
        self._check_on_time(self._clock.now_s())

    def _check_on_time(self, now_s: float) -> None:
        if now_s - self._since_s > self._lease_s / 2:
            raise StorageError("the start took so long that another trigger may have taken over; look at what it started, or try again")

    def release(self) -> None:
        """Let the next one in at once. Whoever took over has a higher number: this rewrites or brings back an older one, which nobody
        heeds and the next holder deletes."""
        # A run may have been started, which a store that fails now must not make look like an error; then the lease ends the claim.
        with suppress(StorageError):
            self._store.put_bytes(self._key, self._claim.model_copy(update={"released": True}).model_dump_json().encode())


@contextmanager
def claim_start(
    store: ObjectStore,
    prefix: str,
    name: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    lease_s: float = LEASE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[HeldClaim]:
    """Hold the claim on starting runs of a pipeline; waits while another holds it, at most ``lease_s`` for one that has died.

    Args:
        store, prefix: the pipeline's storage.
        name: of the pipeline.
        tell: is given one line when there is somebody to wait for.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    folder = f"{join_key(prefix, 'claims', name)}/"
    claim = StartClaim(holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}", claimed_unix_s=time.time())
    watched: bytes | None = None
    watched_since_s = clock.now_s()
    told: set[str] = set()
    while True:
        newest = max(_claims(store, folder), default=None)
        content = None if newest is None else _read(store, newest)
        if content is not None and content != watched:
            watched, watched_since_s = content, clock.now_s()
            if not _is_released(content) and (holder := _holder(content)) not in told:
                told.add(holder)
                tell(f"waiting for {holder}, which is starting a run of {name}; silent for {lease_s:.0f} s, it is taken for dead")
        if newest is None or (content is not None and (_is_released(content) or clock.now_s() - watched_since_s >= lease_s)):
            since_s = clock.now_s()
            mine = _next_key(folder, newest)
            if _take(store, folder, mine, claim):
                break
        else:
            clock.sleep_s(POLL_INTERVAL_S)
    held = HeldClaim(store, folder, mine, claim, since_s=since_s, lease_s=lease_s, clock=clock)
    try:
        yield held
    finally:
        held.release()


def _claims(store: ObjectStore, folder: str) -> list[str]:
    return [key for key in store.list_keys(folder) if _CLAIM_NAME.fullmatch(key.removeprefix(folder))]


def _next_key(folder: str, newest: str | None) -> str:
    number = 0 if newest is None else int(newest.removeprefix(folder).removesuffix(".json"))
    return f"{folder}{number + 1:012d}.json"


def _take(store: ObjectStore, folder: str, key: str, claim: StartClaim) -> bool:
    content = claim.model_dump_json().encode()
    # A write whose answer was lost is tried again and then finds its own object.
    if not store.put_if_absent(key, content) and _read(store, key) != content:
        return False
    keys = _claims(store, folder)
    if max(keys) != key:
        return False  # the number had been taken, given up and deleted while this process slept
    for older in keys:
        if older != key:
            store.delete(older)
    return True


def _read(store: ObjectStore, key: str) -> bytes | None:
    """A claim's content; None when it has been deleted since it was listed, so that there is a newer one."""
    try:
        return store.get_bytes(key)
    except StorageError:
        if store.exists(key):
            raise
        return None


def _is_released(content: bytes) -> bool:
    try:
        return StartClaim.model_validate_json(content).released
    except ValidationError:
        return False  # another release's; the lease decides


def _holder(content: bytes) -> str:
    try:
        return StartClaim.model_validate_json(content).holder
    except ValidationError:
        return "another trigger"
