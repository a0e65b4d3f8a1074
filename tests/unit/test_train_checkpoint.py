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

from edgepress.errors import IntegrityError, StorageError
from edgepress.train import checkpoint
from edgepress.train.checkpoint import CHECKPOINT_NAME, Checkpoint, TrainingState, fingerprint
from tests.unit.store_environment import only

VARIABLES = st.lists(arrays(np.float32, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), max_size=12)


def state(mark: str = "a") -> TrainingState:
    return TrainingState(fingerprint(mark), {"loss": [0.5]}, [np.ones(3, np.float32)], [np.int64(7) * np.ones((), np.int64)], [])


@settings(max_examples=25, deadline=None)  # each example waits for the disk
@given(weights=VARIABLES, optimizer=VARIABLES, best=VARIABLES, losses=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, weights: list[Any], optimizer: list[Any], best: list[Any], losses: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    saved = TrainingState(fingerprint("x"), {"loss": losses}, weights, optimizer, best)
    Checkpoint(str(folder)).save(saved)
    read = Checkpoint(str(folder)).load(fingerprint("x"))
    assert read is not None
    assert read.curves == saved.curves
    for group in ("weights", "optimizer", "best"):
        for one, other in zip(getattr(read, group), getattr(saved, group), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_nothing_saved_is_nothing_read(tmp_path: Path) -> None:
    assert Checkpoint(str(tmp_path / "absent")).load(fingerprint("a")) is None


def test_the_state_of_another_training_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Checkpoint(str(tmp_path)).save(state("a"))
    assert Checkpoint(str(tmp_path)).load(fingerprint("b")) is None
    assert "belongs to another training" in capsys.readouterr().out


def test_the_parts_of_a_fingerprint_do_not_run_together() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_truncated_state_is_refused(tmp_path: Path, kept: int) -> None:
    Checkpoint(str(tmp_path)).save(state())
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="is not a readable training state; delete it"):
        Checkpoint(str(tmp_path)).load(fingerprint("a"))


def test_a_full_disk_leaves_the_state_before_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Checkpoint(str(tmp_path)).save(state())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    Checkpoint(str(tmp_path)).save(TrainingState(fingerprint("a"), {"loss": [0.5, 0.4]}))
    monkeypatch.undo()
    assert "state was not kept, training goes on: " in (printed := capsys.readouterr().out)
    assert "No space left on device" in printed
    read = Checkpoint(str(tmp_path)).load(fingerprint("a"))
    assert read is not None
    assert read.curves == {"loss": [0.5]}
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_NAME]


def test_a_discarded_state_is_gone_and_may_be_discarded_again(tmp_path: Path) -> None:
    Checkpoint(str(tmp_path)).save(state())
    Checkpoint(str(tmp_path)).discard()
    Checkpoint(str(tmp_path)).discard()
    assert Checkpoint(str(tmp_path)).load(fingerprint("a")) is None


def test_an_empty_place_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = Checkpoint("")
    nowhere.save(state())
    assert nowhere.load(fingerprint("a")) is None
    nowhere.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_ends_a_resumption_but_no_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To start over because the store does not answer would throw away what it holds."""
    monkeypatch.setattr(checkpoint, "TASK_PATIENCE_S", 0.0)
    with only({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}):
        away = Checkpoint("s3://bucket/state")
        with pytest.raises(StorageError, match="cannot be reached"):
            away.load(fingerprint("a"))
        away.save(state())
        away.discard()
    kept, removed = capsys.readouterr().out.splitlines()
    assert kept.startswith("this epoch's state was not kept, training goes on: http://127.0.0.1:9")
    assert removed.startswith("the state of this finished training was not removed: http://127.0.0.1:9")
