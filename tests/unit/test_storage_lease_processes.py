"""Leases between real processes, on a real S3 server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore

URI = "s3://edgepress/runs"

HOLD = """
import sys, time
from edgepress.storage import open_store
from edgepress.storage.lease import hold_lease
me, lease_s, hold_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
store, prefix = open_store(sys.argv[4])
with hold_lease(store, prefix + "/leases", doing="publishing", lease_s=lease_s):
    # Found here by whoever is let in beside this process.
    alone = store.put_if_absent("inside", me.encode())
    print("alone" if alone else "TOGETHER", flush=True)
    if not store.exists("started"):
        store.put_bytes("started", me.encode())
        print("started", flush=True)
    time.sleep(hold_s)
    store.delete("inside")
"""


@pytest.fixture(autouse=True)
def _empty(server: EmbeddedStore) -> None:
    store, _ = open_store(URI)
    for key in store.list_keys():
        store.delete(key)


def holder(name: str, *, lease_s: float, hold_s: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, name, str(lease_s), str(hold_s), URI], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )


def test_of_many_processes_at_the_same_moment_one_acts(server: EmbeddedStore) -> None:
    processes = [holder(str(number), lease_s=60, hold_s=0) for number in range(4)]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert all(words[0] == "alone" for words in said)
    assert sum("started" in words for words in said) == 1
    store, _ = open_store(URI)
    assert store.list_keys("runs/") == ["runs/leases/000000000004.json"]


def test_a_killed_holder_is_outlived(server: EmbeddedStore, tmp_path: Path) -> None:
    killed = holder("killed", lease_s=3, hold_s=600)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "alone\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)
    store, _ = open_store(URI)
    store.delete("inside")
    store.delete("started")
    begun_s = time.monotonic()
    said, _ = holder("next", lease_s=3, hold_s=0).communicate(timeout=120)
    assert said.split() == ["alone", "started"]
    assert time.monotonic() - begun_s >= 3
