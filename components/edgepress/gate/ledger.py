"""How often each test split has been used to judge. Every look at a test split makes its next verdict worth a little less.

One JSON file per dataset digest. An update holds a lock that the kernel drops with the process, and replaces the file in one rename, so
a killed process leaves the count before or after its use, never between. A file that cannot be read is an error: starting again at zero
would hide the uses that it held.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.files import write_json
from edgepress.contracts.strict import StrictModel
from edgepress.errors import IntegrityError


class TestSplitUse(StrictModel):
    """One judgement: which run judged which model, and when (seconds since 1970 UTC)."""

    __test__ = False  # pytest would take the class for a test case

    run_id: str
    nominee_digest: Digest
    unix_time_s: float


class Ledger(StrictModel):
    """What a ledger file holds, oldest use first."""

    schema_version: Literal[1] = 1
    dataset_digest: Digest
    uses: tuple[TestSplitUse, ...]


def count_uses(folder: Path, dataset_digest: str) -> int:
    """Uses of a dataset's test split so far; 0 when the ledger folder holds none.

    Raises:
        IntegrityError: the ledger cannot be read.
    """
    return len(_read(_ledger_path(folder, dataset_digest), dataset_digest).uses)


def record_use(folder: Path, dataset_digest: str, *, run_id: str, nominee_digest: str, unix_time_s: float) -> int:
    """Record one use and return how many there are now. A run that judges the same model again, as a retried task does, counts once.

    Raises:
        IntegrityError: the ledger cannot be read.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _ledger_path(folder, dataset_digest)
    with _locked(path.with_suffix(".lock")):
        ledger = _read(path, dataset_digest)
        if not any(use.run_id == run_id and use.nominee_digest == nominee_digest for use in ledger.uses):
            use = TestSplitUse(run_id=run_id, nominee_digest=nominee_digest, unix_time_s=unix_time_s)
            ledger = ledger.model_copy(update={"uses": (*ledger.uses, use)})
            write_json(path, ledger)
    return len(ledger.uses)


def _ledger_path(folder: Path, dataset_digest: str) -> Path:
    return folder / f"{dataset_digest.removeprefix('sha256:')}.json"


def _read(path: Path, dataset_digest: str) -> Ledger:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Ledger(dataset_digest=dataset_digest, uses=())
    except OSError as error:
        raise IntegrityError(f"{path}: the record of test split uses cannot be read ({error.strerror})") from error
    try:
        ledger = Ledger.model_validate_json(content)
    except ValidationError as error:
        raise IntegrityError(
            f"{path}: the record of test split uses is damaged; restore it from a backup, or delete it to count from 0 knowingly"
        ) from error
    if ledger.dataset_digest != dataset_digest:
        raise IntegrityError(f"{path}: holds uses of dataset {ledger.dataset_digest}, but its name says {dataset_digest}")
    return ledger


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
