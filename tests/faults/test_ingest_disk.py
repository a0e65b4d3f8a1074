"""Ingest on a full disk, killed, and twice at once: nothing half-written, and the next run goes on."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import verify_dataset
from edgepress.ingest.step import ingest
from edgepress.task import describe_error

MIB = 1 << 20


def write_source(path: Path, count: int) -> Path:
    """Random float32 examples of 4 KiB each."""
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.random((count, 1024), dtype=np.float32), y=np.arange(count) % 2, site=np.array(["a", "b"]).repeat(count // 2))
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount_point)], capture_output=True, text=True, timeout=30, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"SKIPPED ON THIS MACHINE: a small file system cannot be mounted ({mounted.stderr.strip()})")
    yield mount_point
    subprocess.run(["umount", str(mount_point)], timeout=30, check=True)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_full_disk_leaves_nothing_and_is_said_in_one_line(small_disk: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "data.npz", 4096)  # 16 MiB
    with pytest.raises(OSError, match="No space left") as raised:
        ingest(settings=DatasetSettings(source=str(source)), root=small_disk / "root")
    assert raised.value.errno == errno.ENOSPC
    message, exit_code = describe_error(raised.value)
    assert exit_code == 1
    assert message.startswith(str(small_disk))
    assert message.endswith("no space left on the disk; free some and run again")
    assert files_below(small_disk / "root") == [".ingest.lock"]
    small = write_source(tmp_path / "small.npz", 512)
    verify_dataset(ingest(settings=DatasetSettings(source=str(small)), root=small_disk / "root").path)


def test_a_disk_that_fills_up_while_images_are_decoded(small_disk: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(rng.integers(0, 256, (512, 512), dtype=np.uint8)).save(tmp_path / "pets" / label / f"{number}.png")
    with pytest.raises(OSError, match="No space left") as raised:
        ingest(settings=DatasetSettings(source=str(tmp_path / "pets")), root=small_disk / "root")
    assert raised.value.errno == errno.ENOSPC
    assert files_below(small_disk / "root") == [".ingest.lock"]


@pytest.mark.parametrize("free_kib", [0, 8, 40, 200, 1000, 2040, 2060, 2080, 2100, 2140])
def test_a_disk_that_fills_up_at_any_moment(small_disk: Path, tmp_path: Path, free_kib: int) -> None:
    """2 MiB of data with slice columns; the disk runs full in the inputs, the labels, the columns, the manifest, or not at all."""
    source = write_source(tmp_path / "data.npz", 512)
    settings = DatasetSettings(source=str(source), slice_columns=("site",))
    root = small_disk / "root"
    root.mkdir()
    (small_disk / "filler").write_bytes(bytes(4 * MIB - 8192 - free_kib * 1024))
    full: OSError | None = None
    try:
        path = ingest(settings=settings, root=root).path
    except OSError as error:
        full = error
    if full is not None:
        assert full.errno == errno.ENOSPC
        assert full.filename is not None
        assert set(files_below(root)) <= {".ingest.lock"}
        (small_disk / "filler").unlink()
        path = ingest(settings=settings, root=root).path
    verify_dataset(path)


def run_in_background(source: Path, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgepress.ingest", "--settings", f"{{source: {source}}}", "--root", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_run_killed_while_writing_leaves_no_dataset_and_the_next_cleans_up(tmp_path: Path) -> None:
    source, root = write_source(tmp_path / "data.npz", 40_000), tmp_path / "root"  # 160 MiB: long enough to be caught in the act
    with run_in_background(source, root) as process:
        deadline = time.monotonic() + 60
        while not list(root.glob(".ingest-*/dataset/train/inputs/x.npy")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    visible = [path for path in root.iterdir() if not path.name.startswith(".")]
    assert visible == []
    assert len(list(root.glob(".ingest-*"))) == 1
    small = write_source(tmp_path / "small.npz", 512)
    verify_dataset(ingest(settings=DatasetSettings(source=str(small)), root=root).path)
    assert list(root.glob(".ingest-*")) == []


def test_two_at_once_both_get_the_one_dataset(tmp_path: Path) -> None:
    source, root = write_source(tmp_path / "data.npz", 2000), tmp_path / "root"
    with run_in_background(source, root) as first, run_in_background(source, root) as second:
        outputs = [process.communicate(timeout=100)[0].decode() for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    (path,) = (path for path in root.iterdir() if not path.name.startswith("."))
    verify_dataset(path)
    assert all(path.name in output for output in outputs)
