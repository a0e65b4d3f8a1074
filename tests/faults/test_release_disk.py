"""The release step on a full disk: no directory, nothing published, one line."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress.contracts.config import ReleaseSettings
from edgepress.release.step import release
from edgepress.task import describe_error
from tests.unit.release_files import write_judged

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount_point)], capture_output=True, text=True, timeout=30, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"SKIPPED ON THIS MACHINE: a small file system cannot be mounted ({mounted.stderr.strip()})")
    yield mount_point
    subprocess.run(["umount", str(mount_point)], timeout=30, check=True)


@pytest.mark.parametrize("free_bytes", [0, 4096, 24 * 1024, 40 * 1024])
def test_a_full_disk_leaves_nothing_and_is_said_in_one_line(small_disk: Path, tmp_path: Path, free_bytes: int) -> None:
    """It fills up at different files: at the first copy, the SavedModel, and the golden examples or the manifest."""
    judged = write_judged(tmp_path, padding_bytes=20_000)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(MIB - free_bytes))
    with pytest.raises(OSError, match="No space left") as raised:
        release(
            name="digits",
            run_id="run-1",
            settings=ReleaseSettings(endpoint_url="http://127.0.0.1:1"),  # nobody is there, and nobody is asked
            verdict=judged.verdict,
            nominee=judged.nominee,
            dataset=judged.dataset,
            output=small_disk / "release",
        )
    assert raised.value.errno == errno.ENOSPC
    assert describe_error(raised.value) == (f"{small_disk / 'release'}: no space left on the disk; free some and run again", 1)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
