"""Peak memory: what counts and what does not, told apart in real processes."""

import mmap
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from edgepress.benchmark.peak_memory import measure_peak_memory, raise_of_peak
from edgepress.contracts.candidate import TFLITE_NAME
from edgepress.errors import EdgePressError, ModelError
from edgepress.runtimes.artifact import Artifact, read_artifact
from tests.unit.candidate_files import write_model

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 sees the threads of pytest's own process

MIB = 1 << 20
EXAMPLE = {"image": np.ones((3, 8, 8, 1), np.float32)}
TOLERANCE = 2.5 * MIB
"""The kernel may give memory by huge pages of 2 MiB."""


def hold(size_mib: int) -> None:
    """Memory that is written, so that it is really there, and then given back."""
    memory = mmap.mmap(-1, size_mib * MIB)
    for _ in range(size_mib):
        memory.write(b"\1" * MIB)
    memory.close()


def hold_twice() -> None:
    hold(20)
    hold(20)


def test_memory_counts_at_its_highest_even_when_it_was_given_back() -> None:
    assert raise_of_peak(lambda: hold(40)) == pytest.approx(40 * MIB, abs=TOLERANCE)
    assert raise_of_peak(hold_twice) == pytest.approx(20 * MIB, abs=TOLERANCE)


def test_what_the_process_held_before_does_not_count() -> None:
    before = np.ones(64 * MIB, np.uint8)
    hold(100)  # nor what it once held
    assert raise_of_peak(lambda: hold(4)) == pytest.approx(4 * MIB, abs=TOLERANCE)
    assert before.all()


def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    """As of a runtime's library, which come in when its first kernel runs."""
    path = tmp_path / "library"
    path.write_bytes(os.urandom(MIB) * 32)

    def read() -> None:
        file = path.open("rb")
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        assert sum(mapped[at] for at in range(0, len(mapped), 4096)) > 0
        kept.append(mapped)

    kept: list[mmap.mmap] = []
    assert raise_of_peak(read) < TOLERANCE


def test_a_model_is_measured_by_what_it_holds(tmp_path: Path) -> None:
    """Beside a small file, the same one with 20 MiB behind it that nothing reads: the file's content is in memory as well."""
    artifacts = [read_artifact(write_model(tmp_path / name, name, "conv_float32"), "tflite") for name in ("small", "padded")]
    with (tmp_path / "padded" / TFLITE_NAME).open("ab") as file:
        file.write(bytes(20 * MIB))
    small, padded = measure_peak_memory(artifacts, EXAMPLE, threads=1)
    assert 0 < small < MIB
    assert padded - small == pytest.approx(20 * MIB, abs=TOLERANCE)


def fail() -> None:
    raise ModelError("model.tflite: LiteRT cannot run it")


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_fails_there_is_told_here_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgePressError, match=r"^model\.tflite: LiteRT cannot run it$"):
        raise_of_peak(fail)
    with pytest.raises(EdgePressError, match=r"^its process ended with exit code -9$"):
        raise_of_peak(be_killed)
    model = write_model(tmp_path / "other", "other", "two_inputs")
    with pytest.raises(EdgePressError, match=r"^peak memory cannot be measured: .*/other: .*takes the inputs alpha, zeta") as raised:
        measure_peak_memory([Artifact("tflite", model / TFLITE_NAME, "", None)], EXAMPLE, threads=1)
    assert "\n" not in str(raised.value)
