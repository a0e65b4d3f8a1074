"""The state of a training after its last finished epoch: one object in a store, so that it is whole or not there."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.digest import digest_bytes
from edgepress.errors import IntegrityError, StorageError
from edgepress.storage import TASK_PATIENCE_S, ObjectStore, join_key, open_store

CHECKPOINT_NAME = "training.npz"


@dataclass
class TrainingState:
    """What a training needs to go on.

    Attributes:
        fingerprint: digest of what the training was started with.
        curves: metric -> value of each finished epoch.
        weights: of the model as trained, in the order of ``tracked`` variables.
        optimizer: values of the optimizer's variables.
        best: the model's weights of the best epoch; empty before the first that counts.
    """

    fingerprint: str
    curves: dict[str, list[float]] = field(default_factory=dict)
    weights: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    best: list[NDArray[Any]] = field(default_factory=list)


def fingerprint(*parts: str) -> str:
    """Digest of the texts that determine a training."""
    return digest_bytes("\0".join(parts).encode())


class Checkpoint:
    """Where one training keeps its state, below a folder or ``s3://bucket/prefix``; an empty place keeps nothing.

    Reading is patient and then fails: to begin anew because a store was away for a moment would throw away what it holds. Writing and
    discarding are not worth a training: when they fail, a line in the log says so and the training goes on.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._opened: tuple[ObjectStore, str] | None = None

    def load(self, expected_fingerprint: str) -> TrainingState | None:
        """The state of a training started with the same things; None when there is none, or another training's.

        Raises:
            IntegrityError: what is there is no state.
            StorageError: the store cannot be reached or refuses.
        """
        if not self._place:
            return None
        store, prefix = open_store(self._place, patience_s=TASK_PATIENCE_S)
        key = join_key(prefix, CHECKPOINT_NAME)
        if not store.exists(key):
            return None
        where = f"{store.address}: '{key}'"
        try:
            state = _decode(store.get_bytes(key))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise IntegrityError(f"{where} is not a readable training state; delete it to train from the first epoch") from error
        if state.fingerprint != expected_fingerprint:
            print(f"{where} belongs to another training; starting from the first epoch", flush=True)
            return None
        return state

    def save(self, state: TrainingState) -> None:
        """Write the state over the one before, which stays when this fails."""
        if self._place:
            try:
                store, key = self._open()
                store.put_bytes(key, _encode(state))
            except StorageError as error:
                print(f"this epoch's state was not kept, training goes on: {error}", flush=True)

    def discard(self) -> None:
        """Remove the state: the training is finished and its model stored."""
        if self._place:
            try:
                store, key = self._open()
                store.delete(key)
            except StorageError as error:
                print(f"the state of this finished training was not removed: {error}", flush=True)

    def _open(self) -> tuple[ObjectStore, str]:
        """A store that gives up soon, and the state's key in it."""
        if self._opened is None:
            store, prefix = open_store(self._place)
            self._opened = store, join_key(prefix, CHECKPOINT_NAME)
        return self._opened


def _encode(state: TrainingState) -> bytes:
    header = json.dumps({"fingerprint": state.fingerprint, "curves": state.curves})
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(header.encode(), np.uint8)}
    for group in ("weights", "optimizer", "best"):
        arrays |= {f"{group}_{index}": array for index, array in enumerate(getattr(state, group))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _decode(content: bytes) -> TrainingState:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        groups = {
            group: [archive[f"{group}_{index}"] for index in range(sum(name.startswith(f"{group}_") for name in archive.files))]
            for group in ("weights", "optimizer", "best")
        }
    return TrainingState(fingerprint=header["fingerprint"], curves=header["curves"], **groups)
