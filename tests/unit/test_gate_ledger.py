import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgepress.contracts.digest import digest_bytes
from edgepress.errors import IntegrityError
from edgepress.gate.ledger import count_uses, record_use

DATASET = digest_bytes(b"dataset")
MODEL = digest_bytes(b"model")

USE_REPEATEDLY = """
import sys
from pathlib import Path
from edgepress.gate.ledger import record_use
folder, worker, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for index in range(times):
    uses = record_use(folder, sys.argv[4], run_id=f"{worker}-{index}", nominee_digest=sys.argv[5], unix_time_s=1.0)
    print(uses, flush=True)
"""


def start(folder: Path, worker: str, times: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", USE_REPEATEDLY, str(folder), worker, str(times), DATASET, MODEL]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def use(folder: Path, run_id: str, dataset: str = DATASET) -> int:
    return record_use(folder, dataset, run_id=run_id, nominee_digest=MODEL, unix_time_s=time.time())


def test_counts_uses_by_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    assert count_uses(folder, DATASET) == 0
    assert [use(folder, "a"), use(folder, "b")] == [1, 2]
    assert use(folder, "a", digest_bytes(b"another dataset")) == 1
    assert count_uses(folder, DATASET) == 2


def test_repeated_judgement_of_one_run_counts_once(tmp_path: Path) -> None:
    assert [use(tmp_path, "a"), use(tmp_path, "a")] == [1, 1]
    assert record_use(tmp_path, DATASET, run_id="a", nominee_digest=digest_bytes(b"other model"), unix_time_s=1.0) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema_version": 1}', b'{"schema_version": 2, "dataset_digest": "x", "uses": []}']
)
def test_damaged_ledger_is_an_error_and_not_zero(tmp_path: Path, content: bytes) -> None:
    use(tmp_path, "a")
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        count_uses(tmp_path, DATASET)
    with pytest.raises(IntegrityError, match="damaged"):
        use(tmp_path, "b")
    assert path.read_bytes() == content


def test_ledger_of_another_dataset_is_an_error(tmp_path: Path) -> None:
    other = digest_bytes(b"another dataset")
    use(tmp_path, "a", other)
    (path,) = tmp_path.glob("*.json")
    path.rename(tmp_path / f"{DATASET.removeprefix('sha256:')}.json")
    with pytest.raises(IntegrityError, match=other):
        count_uses(tmp_path, DATASET)


def test_no_use_is_lost_between_processes_and_threads(tmp_path: Path) -> None:
    processes = [start(tmp_path, f"process{index}", 15) for index in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda index: use(tmp_path, f"thread{index}"), range(15)))
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert count_uses(tmp_path, DATASET) == 60


def test_killed_process_loses_no_reported_use_and_holds_no_lock(tmp_path: Path) -> None:
    for attempt in range(4):
        process = start(tmp_path, f"attempt{attempt}", 100_000)
        assert process.stdout is not None
        for _ in range(5 + attempt):
            reported = int(process.stdout.readline())
        time.sleep(0.003 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=30)[0].split()
        reported = int(rest[-1]) if rest else reported
        # At most the one use that was being reported is there without having been printed.
        assert count_uses(tmp_path, DATASET) in (reported, reported + 1)
    before = count_uses(tmp_path, DATASET)
    assert use(tmp_path, "after") == before + 1
