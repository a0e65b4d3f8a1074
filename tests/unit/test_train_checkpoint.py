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
from edgepress.train.checkpoint import Checkpoint, TrainingState, discard_states, training_key
from tests.unit.store_environment import only

VARIABLES = st.lists(arrays(np.float32, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), max_size=12)


def state(loss: float = 0.5) -> TrainingState:
    return TrainingState({"loss": [loss]}, [np.ones(3, np.float32)], [np.int64(7) * np.ones((), np.int64)], [])


def checkpoint(place: Path | str, training: str = "a") -> Checkpoint:
    """Of one training, by a letter for all that it was started with."""
    return Checkpoint(str(place), training_key(training))


def name_of(training: str = "a") -> str:
    return f"{training_key(training).removeprefix('sha256:')}.npz"


@settings(max_examples=25, deadline=None)  # each example waits for the disk
@given(weights=VARIABLES, optimizer=VARIABLES, best=VARIABLES, losses=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, weights: list[Any], optimizer: list[Any], best: list[Any], losses: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    saved = TrainingState({"loss": losses}, weights, optimizer, best)
    checkpoint(folder).save(saved)
    read = checkpoint(folder).load()
    assert read is not None
    assert read.curves == saved.curves
    for group in ("weights", "optimizer", "best"):
        for one, other in zip(getattr(read, group), getattr(saved, group), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_nothing_saved_is_nothing_read(tmp_path: Path) -> None:
    assert checkpoint(tmp_path / "absent").load() is None


def losses(found: TrainingState | None) -> list[float] | None:
    return found.curves["loss"] if found is not None else None


def test_trainings_at_one_place_take_and_overwrite_nothing_of_each_other(tmp_path: Path) -> None:
    checkpoint(tmp_path, "a").save(state(0.5))
    assert checkpoint(tmp_path, "b").load() is None
    checkpoint(tmp_path, "b").save(state(0.25))
    assert losses(checkpoint(tmp_path, "a").load()) == [0.5]
    assert losses(checkpoint(tmp_path, "b").load()) == [0.25]


def test_the_parts_of_a_training_key_do_not_run_together() -> None:
    assert training_key("ab", "c") != training_key("a", "bc")


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_truncated_state_is_refused(tmp_path: Path, kept: int) -> None:
    checkpoint(tmp_path).save(state())
    path = tmp_path / name_of()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="is not a readable training state; delete it"):
        checkpoint(tmp_path).load()


def test_a_full_disk_leaves_the_state_before_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path).save(state())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    checkpoint(tmp_path).save(TrainingState({"loss": [0.5, 0.4]}))
    monkeypatch.undo()
    assert "state was not kept, training goes on: " in (printed := capsys.readouterr().out)
    assert "No space left on device" in printed
    read = checkpoint(tmp_path).load()
    assert read is not None
    assert read.curves == {"loss": [0.5]}
    assert [path.name for path in tmp_path.iterdir()] == [name_of()]


def test_a_finished_step_empties_its_folder_of_states_and_of_nothing_else(tmp_path: Path) -> None:
    checkpoint(tmp_path, "done").save(state())
    checkpoint(tmp_path, "of a killed run with other settings").save(state())
    checkpoint(tmp_path / "next", "of a stage below").save(state())
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").write_text("kept")
    for _ in range(2):
        discard_states(str(tmp_path))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["next", "tensorboard"]
    assert (tmp_path / "tensorboard" / "events").read_text() == "kept"
    assert losses(checkpoint(tmp_path / "next", "of a stage below").load()) == [0.5]


@pytest.mark.usefixtures("server")
def test_in_an_object_store_a_finished_step_leaves_its_state() -> None:
    """Its output leaves the pod only when the step has ended; the attempt after one that failed in this finds the whole training."""
    checkpoint("s3://bucket/state").save(state())
    discard_states("s3://bucket/state")
    assert losses(checkpoint("s3://bucket/state").load()) == [0.5]


def test_an_empty_place_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = checkpoint("")
    nowhere.save(state())
    assert nowhere.load() is None
    discard_states("")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_ends_a_resumption_but_no_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To start over because the store does not answer would throw away what it holds."""
    monkeypatch.setattr("edgepress.storage.opening.TASK_PATIENCE_S", 0.0)
    with only({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}):
        away = checkpoint("s3://bucket/state")
        with pytest.raises(StorageError, match="cannot be reached"):
            away.load()
        away.save(state())
    assert capsys.readouterr().out.startswith("this epoch's state was not kept, training goes on: http://127.0.0.1:9")
