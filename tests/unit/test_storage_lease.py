"""When a lease ends, by a virtual clock."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import StorageError
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.filesystem import FilesystemStore
from edgepress.storage.lease import POLL_INTERVAL_S, HeldLease, LeaseRecord, hold_lease
from tests.unit.virtual_time import VirtualTime


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))[0]


def held(store: ObjectStore, **settings: Any) -> AbstractContextManager[HeldLease]:
    return hold_lease(store, "p/leases", doing="publishing digits", **{"lease_s": 300.0} | settings)


def test_leases_follow_each_other_at_once_and_leave_one_object(store: ObjectStore) -> None:
    time = VirtualTime()
    for _ in range(3):
        with held(store, clock=time.clock()) as lease:
            lease.renew()
    assert time.seconds == 0.0
    assert store.list_keys() == ["p/leases/000000000003.json"]


def test_a_dead_holder_is_waited_for_as_long_as_its_lease_and_no_longer(store: ObjectStore) -> None:
    store.put_bytes("p/leases/000000000007.json", LeaseRecord(holder="dead:1:x", claimed_unix_s=4e9).model_dump_json().encode())
    time, told = VirtualTime(), list[str]()
    with held(store, tell=told.append, lease_s=120, clock=time.clock()):
        assert 120 <= time.seconds <= 120 + POLL_INTERVAL_S
        assert store.list_keys() == ["p/leases/000000000008.json"]
    assert told == ["waiting for dead:1:x, which is publishing digits; silent for 120 s, it is taken for dead"]


def test_a_holder_that_releases_is_followed_within_a_poll(store: ObjectStore) -> None:
    key = "p/leases/000000000001.json"
    record = LeaseRecord(holder="other:1:x", claimed_unix_s=0.0)
    store.put_bytes(key, record.model_dump_json().encode())

    def release_after_5_s() -> None:
        if time.seconds >= 5:
            store.put_bytes(key, record.model_copy(update={"released": True}).model_dump_json().encode())

    time = VirtualTime(then=release_after_5_s)
    with held(store, clock=time.clock()):
        assert time.seconds == 5


def test_a_lease_of_another_release_is_left_to_the_lease(store: ObjectStore) -> None:
    store.put_bytes("p/leases/000000000001.json", b"{}")
    store.put_bytes("p/leases/notes.txt", b"somebody's own")
    time = VirtualTime()
    with held(store, lease_s=30, clock=time.clock()):
        assert time.seconds >= 30


def test_a_lease_is_renewed_in_time_or_not_at_all(store: ObjectStore) -> None:
    time = VirtualTime()
    with held(store, lease_s=100, clock=time.clock()) as lease:
        for _ in range(5):
            time.seconds += 50
            lease.renew()
        time.seconds += 51
        with pytest.raises(StorageError, match="may have taken over"):
            lease.renew()


def test_a_holder_whose_lease_somebody_took_over_is_told(store: ObjectStore) -> None:
    """Its own clock need not show it: one that stands still while the machine sleeps does not."""
    time = VirtualTime()
    with held(store, clock=time.clock()) as lease:
        store.put_bytes("p/leases/000000000002.json", LeaseRecord(holder="other:1:x", claimed_unix_s=0.0).model_dump_json().encode())
        with pytest.raises(StorageError, match="has taken over"):
            lease.renew()


def test_whoever_waits_goes_by_the_newest_renewal(store: ObjectStore) -> None:
    key, told = "p/leases/000000000001.json", list[str]()
    record = LeaseRecord(holder="other:1:x", claimed_unix_s=0.0)
    store.put_bytes(key, record.model_dump_json().encode())

    def renew_until_500_s() -> None:
        if time.seconds < 500:
            store.put_bytes(key, record.model_copy(update={"renewals": int(time.seconds)}).model_dump_json().encode())

    time = VirtualTime(then=renew_until_500_s)
    with held(store, tell=told.append, lease_s=100, clock=time.clock()):
        assert 599 <= time.seconds <= 601
    assert len(told) == 1


class StaleStore(FilesystemStore):
    """Lists once what was there before others took their turns, as a process sees it that slept."""

    def __init__(self, root: Path, then: Callable[[], None]) -> None:
        super().__init__(root)
        self._then: Iterator[Callable[[], None]] = iter([then])

    def list_keys(self, prefix: str = "") -> list[str]:
        listed = super().list_keys(prefix)
        for then in self._then:
            then()
        return listed


def test_a_latecomer_whose_number_has_been_deleted_does_not_hold(tmp_path: Path) -> None:
    """It lists nothing and sleeps; leases 1 and 2 come and go; lease 3 holds. Then it writes number 1, which is free again."""
    folder = tmp_path / "store"
    others = FilesystemStore(folder)
    key = "p/leases/000000000003.json"
    record = LeaseRecord(holder="holder:1:x", claimed_unix_s=0.0)
    time = VirtualTime()

    def meanwhile() -> None:
        others.put_bytes(key, record.model_dump_json().encode())

    with held(StaleStore(folder, meanwhile), lease_s=60, clock=time.clock()):
        assert time.seconds >= 60
        assert others.list_keys() == ["p/leases/000000000004.json"]
