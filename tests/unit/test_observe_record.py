"""What a task on a cluster leaves in its run's folder when there is much to leave, or little time."""

import os
import threading
from pathlib import Path

import pytest

from edgepress.contracts.task_event import TaskEvent
from edgepress.observe import task_record
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.task_record import LOG_LIMIT_BYTES, StoreRecord
from edgepress.storage.filesystem import FilesystemStore

ENDED = TaskEvent(task="train", recipe="baseline", state="failed", unix_time_s=2.0, message="no space", exit_code=1)


def record_in(folder: Path) -> StoreRecord:
    return StoreRecord(str(folder), TaskIdentity(task="train", recipe="baseline", pipeline="digits", run_id="r1"))


def write(content: bytes) -> None:
    """Write all of it to standard output, as a native library does."""
    while content:
        content = content[os.write(1, content) :]


def names(folder: Path, below: str) -> list[str]:
    return [path.name.split(".")[-2] for path in (folder / below).iterdir()]


def test_how_a_task_ended_does_not_wait_for_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    put_file, put_bytes = FilesystemStore.put_file, FilesystemStore.put_bytes

    def slow_file(self: FilesystemStore, key: str, path: Path) -> None:
        going_on.wait(60)
        put_file(self, key, path)

    def slow_log(self: FilesystemStore, key: str, content: bytes) -> None:
        if key.startswith("logs/"):
            going_on.wait(60)
        put_bytes(self, key, content)

    monkeypatch.setattr(FilesystemStore, "put_file", slow_file)
    monkeypatch.setattr(FilesystemStore, "put_bytes", slow_log)
    monkeypatch.setattr(task_record, "RECORD_TIMEOUT_S", 0.5)
    record = record_in(tmp_path)
    with record.output():
        write(b"epoch 1\n")
    problem = record.end(ENDED)
    going_on.set()
    assert problem is not None
    assert "may be missing" in problem
    assert names(tmp_path, "events") == ["failed"]


@pytest.mark.parametrize(("length", "is_cut"), [(0, False), (LOG_LIMIT_BYTES // 10, False), (LOG_LIMIT_BYTES // 10 + 1, True)])
def test_of_a_long_log_the_end_is_kept_and_says_so(length: int, is_cut: bool, tmp_path: Path) -> None:
    record = record_in(tmp_path)
    with record.output():
        write("".join(f"{number:09d}\n" for number in range(length)).encode())
    assert record.end(ENDED) is None
    log = (tmp_path / "logs" / "train.baseline.log").read_bytes()
    lines = log.decode().splitlines()
    if not is_cut:
        assert lines == [f"{number:09d}" for number in range(length)]
        return
    assert len(log) < LOG_LIMIT_BYTES + 200
    first, kept = lines[0], lines[1:]
    assert first == f"[the first {10 * (length - len(kept))} bytes of this log were left out here; the pod's own log has them]"
    assert kept == [f"{number:09d}" for number in range(length - len(kept), length)]
    assert len(kept) >= LOG_LIMIT_BYTES // 10 - 1


def test_a_log_of_one_endless_line_is_kept_in_part(tmp_path: Path) -> None:
    record = record_in(tmp_path)
    with record.output():
        write(b"x" * (LOG_LIMIT_BYTES + 5))
    assert record.end(ENDED) is None
    first, _, kept = (tmp_path / "logs" / "train.baseline.log").read_bytes().partition(b"\n")
    assert first.startswith(b"[the first 5 bytes")
    assert kept == b"x" * LOG_LIMIT_BYTES
