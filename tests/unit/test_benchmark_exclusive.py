"""The machine-wide lock between real processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepress.benchmark.exclusive import exclusive

HOLD = """
import sys
from pathlib import Path
from edgepress.benchmark.exclusive import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start_holder(path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_second_benchmark_waits_until_the_first_has_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    with start_holder(path) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with start_holder(path) as second:
            assert second.stdin is not None
            assert second.stdout is not None
            assert second.stdout.readline() == f"benchmark: waiting for another benchmark on this machine to end (lock {path})\n"
            time.sleep(0.2)
            assert second.poll() is None
            first.stdin.close()
            assert second.stdout.readline().startswith("benchmark: going on after waiting")
            assert second.stdout.readline() == "held\n"
            second.stdin.close()


def test_a_killed_holder_blocks_nobody_and_the_lock_can_be_taken_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    with start_holder(path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
    for _ in range(2):
        with exclusive(path):
            pass
    assert capsys.readouterr().out == ""


def test_a_symbolic_link_in_the_shared_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"), exclusive(tmp_path / "lock"):
        pass
