"""How often each test split has been used to judge. Every look at a test split makes its next verdict worth a little less.

    <ledger>/<hex digest of the split>/<run>.<hex digest of the nominee>.json      one object a use

A use is one object that is written unless it is there, which every store does atomically: judges on any number of machines count right
without a lock, a repeated judgement counts once, and a killed judge leaves the count before or after its use, never between. The count is
the number of objects; each is read, and one that is not a use of this split is an error, because whatever happened to it may have
happened to others that are no longer there.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal
from urllib.parse import quote

from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.errors import InputError, IntegrityError
from edgepress.storage import ObjectStore, join_key, join_uri, open_store_for_task

CONCURRENT_READS = 16
"""Uses are small: reading them is bound by the round trip."""


class TestSplitUse(StrictModel):
    """One judgement: which run judged which model on which test split, and when (seconds since 1970 UTC)."""

    __test__ = False  # pytest would take the class for a test case

    schema_version: Literal[1] = 1
    split_digest: Digest
    run_id: str
    nominee_digest: Digest
    unix_time_s: float

    @property
    def name(self) -> str:
        """The last part of its key: the same run and nominee have the same."""
        return f"{quote(self.run_id, safe='')}.{_hex(self.nominee_digest)}.json"


def count_uses(ledger: str, split_digest: str) -> int:
    """Uses of a test split so far; 0 when the ledger holds none.

    Args:
        ledger: a folder or ``s3://bucket/prefix``.
        split_digest: of the split's examples and labels, not of the whole dataset: another training split makes no fresh test split of it.

    Raises:
        IntegrityError: the ledger holds something that is no use of this split.
        StorageError: it cannot be read.
    """
    return _count(*_open(ledger, split_digest), split_digest)


def record_use(ledger: str, split_digest: str, *, run_id: str, nominee_digest: str, unix_time_s: float) -> int:
    """Record one use and return how many there are now. A run that judges the same model again, as a retried task does, counts once.

    Raises:
        IntegrityError: the ledger holds something that is no use of this split.
        StorageError: it cannot be read or written.
    """
    use = TestSplitUse(split_digest=split_digest, run_id=run_id, nominee_digest=nominee_digest, unix_time_s=unix_time_s)
    store, prefix = _open(ledger, split_digest)
    # Whoever wrote it: it is there.
    store.put_if_absent(join_key(prefix, use.name), use.model_dump_json().encode())
    return _count(store, prefix, split_digest)


def _open(ledger: str, split_digest: str) -> tuple[ObjectStore, str]:
    if not ledger:
        raise InputError("ledger: is empty, so uses of the test split cannot be counted; give a folder or s3://bucket/prefix")
    return open_store_for_task(join_uri(ledger, _hex(split_digest)))


def _count(store: ObjectStore, prefix: str, split_digest: str) -> int:
    keys = store.list_keys(f"{prefix}/" if prefix else "")
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        uses = list(pool.map(lambda key: _read(store, key), keys))
    for key, use in zip(keys, uses, strict=True):
        if use.split_digest != split_digest:
            raise IntegrityError(f"{store.address}: '{key}' is a use of split {use.split_digest}, but its place says {split_digest}")
        if key != join_key(prefix, use.name):
            raise IntegrityError(f"{store.address}: '{key}' is the use that belongs to '{join_key(prefix, use.name)}'; remove the copy")
    return len(keys)


def _read(store: ObjectStore, key: str) -> TestSplitUse:
    try:
        return TestSplitUse.model_validate_json(store.get_bytes(key))
    except ValidationError as error:
        raise IntegrityError(
            f"{store.address}: the use of a test split in '{key}' is damaged; restore it from a backup, "
            "or delete it to count without it knowingly"
        ) from error


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
