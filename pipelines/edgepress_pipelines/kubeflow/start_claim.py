"""One start at a time: whoever wants to start a run of a pipeline first holds its claim in the object store.

    claims/<name>/000000000007.json     the claim that holds, or held last; each new one takes the next number

A number is written once (``put_if_absent``), so of all that want the next one exactly one gets it. A claim ends when its holder rewrites it
as released, or when somebody has watched it unchanged for ``LEASE_S``: its holder has died. That is measured on the watcher's own clock,
so clocks need not agree. The newest claim is never deleted; a latecomer that writes a number below it finds it there and has lost.
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
"""Comparing and starting take seconds, minutes when the cluster answers late; a holder silent for this long is taken for dead."""
POLL_INTERVAL_S = 1.0
_CLAIM_NAME = re.compile(r"\d{12}\.json")


class StartClaim(StrictModel):
    """What a claim's object holds. ``holder`` is host, process and a random part, so that it tells writers apart."""

    schema_version: Literal[1] = 1
    holder: str
    claimed_unix_s: float
    released: bool = False


@dataclass(frozen=True)
class Clock:
    """Time, so that tests need not wait. ``now_s`` is monotonic."""

    now_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


class HeldClaim:
    """The claim while it is held."""

    def __init__(self, since_s: float, lease_s: float, clock: Clock) -> None:
        self._until_s = since_s + lease_s / 2
        self._clock = clock

    def check_fresh(self) -> None:
        """Call this right before starting: half of the lease must be left for the start itself.

        Raises:
            StorageError: so much time has passed that somebody else may take this holder for dead.
        """
        if self._clock.now_s() > self._until_s:
            raise StorageError("comparing took so long that another trigger may have taken over; nothing was started, try again")


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
    since_s = clock.now_s()
    watched: bytes | None = None
    watched_since_s = since_s
    while True:
        newest = max(_claims(store, folder), default=None)
        content = None if newest is None else _read(store, newest)
        if content is not None and content != watched:
            watched, watched_since_s = content, clock.now_s()
            if not _is_released(content):
                tell(f"waiting for {_holder(content)}, which is starting a run of {name} or has died doing so")
        if newest is None or (content is not None and (_is_released(content) or clock.now_s() - watched_since_s >= lease_s)):
            since_s = clock.now_s()
            mine = _next_key(folder, newest)
            if _take(store, folder, mine, claim):
                break
        else:
            clock.sleep_s(POLL_INTERVAL_S)
    try:
        yield HeldClaim(since_s, lease_s, clock)
    finally:
        _release(store, mine, claim)


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


def _release(store: ObjectStore, key: str, claim: StartClaim) -> None:
    # Whoever took over has a higher number: this rewrites or brings back an older one, which nobody heeds and the next holder deletes.
    # A run may have been started, which a store that fails now must not make look like an error; then the lease ends the claim.
    with suppress(StorageError):
        store.put_bytes(key, claim.model_copy(update={"released": True}).model_dump_json().encode())


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
