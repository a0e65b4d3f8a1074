"""The state of a training: whole, its own training's, or refused."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgepress.errors import IntegrityError
from edgepress.train.checkpoint import CHECKPOINT_NAME, TrainingState, discard_state, fingerprint, load_state, save_state

VARIABLES = st.lists(arrays(np.float32, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), max_size=12)


def state(mark: str = "a") -> TrainingState:
    return TrainingState(fingerprint(mark), {"loss": [0.5]}, [np.ones(3, np.float32)], [np.int64(7) * np.ones((), np.int64)], [])


@settings(max_examples=25)
@given(weights=VARIABLES, optimizer=VARIABLES, best=VARIABLES, losses=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, weights: list[Any], optimizer: list[Any], best: list[Any], losses: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    saved = TrainingState(fingerprint("x"), {"loss": losses}, weights, optimizer, best)
    save_state(folder, saved)
    read = load_state(folder, fingerprint("x"))
    assert read is not None
    assert read.curves == saved.curves
    for group in ("weights", "optimizer", "best"):
        for one, other in zip(getattr(read, group), getattr(saved, group), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_nothing_saved_is_nothing_read(tmp_path: Path) -> None:
    assert load_state(tmp_path / "absent", fingerprint("a")) is None


def test_the_state_of_another_training_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_state(tmp_path, state("a"))
    assert load_state(tmp_path, fingerprint("b")) is None
    assert "belongs to another training" in capsys.readouterr().out


def test_the_parts_of_a_fingerprint_do_not_run_together() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_truncated_state_is_refused(tmp_path: Path, kept: int) -> None:
    save_state(tmp_path, state())
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="is not a readable training state; delete it"):
        load_state(tmp_path, fingerprint("a"))


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, state())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_state(tmp_path, TrainingState(fingerprint("a"), {"loss": [0.5, 0.4]}))
    monkeypatch.undo()
    read = load_state(tmp_path, fingerprint("a"))
    assert read is not None
    assert read.curves == {"loss": [0.5]}
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_NAME]


def test_a_discarded_state_is_gone_and_may_be_discarded_again(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    discard_state(tmp_path)
    discard_state(tmp_path)
    assert load_state(tmp_path, fingerprint("a")) is None
