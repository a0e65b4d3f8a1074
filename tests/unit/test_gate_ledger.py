import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgepress.device.digest import digest_bytes
from edgepress.errors import InputError, IntegrityError
from edgepress.gate.ledger import count_uses, record_use
from edgepress.storage import join_key, open_store

SPLIT = digest_bytes(b"split")
MODEL = digest_bytes(b"model")

USE_REPEATEDLY = """
import sys
from edgepress.gate.ledger import record_use
ledger, worker, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
for index in range(times):
    uses = record_use(ledger, sys.argv[4], run_id=f"{worker}-{index}", nominee_digest=sys.argv[5], unix_time_s=1.0)
    print(uses, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture(params=["folder", "s3"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, folder: str) -> str:
    """A ledger of the test's own: in a folder, and in a real S3 server."""
    if request.param == "folder":
        return folder
    request.getfixturevalue("server")
    return f"s3://ledgers/{tmp_path.name}/ledger"


def start(ledger: str, worker: str, times: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", USE_REPEATEDLY, ledger, worker, str(times), SPLIT, MODEL]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def use(ledger: str, run_id: str, split: str = SPLIT) -> int:
    return record_use(ledger, split, run_id=run_id, nominee_digest=MODEL, unix_time_s=time.time())


def test_counts_uses_by_split(ledger: str) -> None:
    assert count_uses(ledger, SPLIT) == 0
    assert [use(ledger, "a"), use(ledger, "b")] == [1, 2]
    assert use(ledger, "a", digest_bytes(b"another split")) == 1
    assert count_uses(ledger, SPLIT) == 2


def test_repeated_judgement_of_one_run_counts_once(ledger: str) -> None:
    assert [use(ledger, "a"), use(ledger, "a")] == [1, 1]
    assert record_use(ledger, SPLIT, run_id="a", nominee_digest=digest_bytes(b"other model"), unix_time_s=1.0) == 2


@pytest.mark.parametrize("run_id", ["", "..", "a/../../b", "a b", ".hidden"])
def test_no_name_of_a_run_leaves_the_ledger(folder: str, run_id: str) -> None:
    assert use(folder, run_id) == 1
    assert use(folder, run_id) == 1
    (key,) = objects(folder)
    assert key.count("/") == 1


def objects(ledger: str) -> list[str]:
    """Keys within the ledger."""
    store, prefix = open_store(ledger)
    return [key.removeprefix(f"{prefix}/") if prefix else key for key in store.list_keys(prefix)]


def write(ledger: str, key: str, content: bytes) -> None:
    store, prefix = open_store(ledger)
    store.put_bytes(join_key(prefix, key), content)


def read(ledger: str, key: str) -> bytes:
    store, prefix = open_store(ledger)
    return store.get_bytes(join_key(prefix, key))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema_version": 1}', b'{"schema_version": 2, "split_digest": "x", "run_id": "a"}']
)
def test_a_damaged_use_is_an_error_and_not_left_out(folder: str, content: bytes) -> None:
    use(folder, "a")
    (key,) = objects(folder)
    write(folder, key, content)
    with pytest.raises(IntegrityError, match="damaged"):
        count_uses(folder, SPLIT)
    with pytest.raises(IntegrityError, match="damaged"):
        use(folder, "b")
    assert read(folder, key) == content


def test_a_use_of_another_split_is_an_error(ledger: str) -> None:
    other = digest_bytes(b"another split")
    use(ledger, "a", other)
    (key,) = objects(ledger)
    write(ledger, f"{SPLIT.removeprefix('sha256:')}/{key.split('/')[1]}", read(ledger, key))
    with pytest.raises(IntegrityError, match=other):
        count_uses(ledger, SPLIT)


@pytest.mark.parametrize("name", ["copy.json", "below/copy.json"])
def test_a_copy_of_a_use_is_an_error_and_not_a_second_one(folder: str, name: str) -> None:
    use(folder, "a")
    (key,) = objects(folder)
    write(folder, f"{key.split('/')[0]}/{name}", read(folder, key))
    with pytest.raises(IntegrityError, match=r"copy\.json' is the use that belongs to"):
        count_uses(folder, SPLIT)


def test_without_a_ledger_nothing_is_judged() -> None:
    with pytest.raises(InputError, match="ledger: is empty"):
        use("", "a")


def test_no_use_is_lost_between_processes_and_threads(ledger: str) -> None:
    times = 4 if ledger.startswith("s3://") else 15
    processes = [start(ledger, f"process{index}", times) for index in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda index: use(ledger, f"thread{index}"), range(times)))
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert count_uses(ledger, SPLIT) == 4 * times


def test_judges_that_retry_the_same_judgement_at_once_count_it_once(ledger: str) -> None:
    processes = [start(ledger, "the-same-run", 3) for _ in range(3)]
    counts = [[int(line) for line in process.communicate(timeout=120)[0].split()] for process in processes]
    assert count_uses(ledger, SPLIT) == 3
    for own in counts:
        assert own == sorted(own)
        assert all(index + 1 <= count <= 3 for index, count in enumerate(own))


def test_a_killed_process_loses_no_reported_use_and_holds_no_lock(folder: str) -> None:
    for attempt in range(4):
        process = start(folder, f"attempt{attempt}", 100_000)
        assert process.stdout is not None
        for _ in range(5 + attempt):
            reported = int(process.stdout.readline())
        time.sleep(0.003 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=30)[0].split()
        reported = int(rest[-1]) if rest else reported
        # At most the one use that was being reported is there without having been printed.
        assert count_uses(folder, SPLIT) in (reported, reported + 1)
    before = count_uses(folder, SPLIT)
    assert use(folder, "after") == before + 1
