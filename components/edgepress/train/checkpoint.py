"""The state of a training after its last finished epoch: one object in a store, so that it is whole or not there.

<place>/<hex training key>.npz    one for each training that was begun there, so none takes or overwrites another's
"""

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.device.digest import digest_bytes
from edgepress.errors import IntegrityError, StorageError
from edgepress.storage import ObjectStore, is_local, join_key, open_store, open_store_for_task

STATE_SUFFIX = ".npz"


@dataclass
class TrainingState:
    """What a training needs to go on.

    Attributes:
        curves: metric -> value of each finished epoch.
        weights: of the model as trained, in the order of ``tracked`` variables.
        optimizer: values of the optimizer's variables.
        best: the model's weights of the best epoch; empty before the first that counts.
    """

    curves: dict[str, list[float]] = field(default_factory=dict)
    weights: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    best: list[NDArray[Any]] = field(default_factory=list)


def training_key(*parts: str) -> str:
    """The key of a training: a digest of the texts that determine it."""
    return digest_bytes("\0".join(parts).encode())


class Checkpoint:
    """Where one training keeps its state, below a folder or ``s3://bucket/prefix``; an empty place keeps nothing.

    Reading is patient and then fails: to begin anew because a store was away for a moment would throw away what it holds. Writing is not
    worth a training: when it fails, a line in the log says so and the training goes on.
    """

    def __init__(self, place: str, key: str) -> None:
        self._place = place
        self._name = f"{key.removeprefix('sha256:')}{STATE_SUFFIX}"
        self._opened: tuple[ObjectStore, str] | None = None

    def load(self) -> TrainingState | None:
        """The state of a training started with the same things, which may have reached its last epoch; None when there is none.

        Raises:
            IntegrityError: what is there is no state.
            StorageError: the store cannot be reached or refuses.
        """
        if not self._place:
            return None
        store, prefix = open_store_for_task(self._place)
        key = join_key(prefix, self._name)
        if not store.exists(key):
            return None
        where = f"{store.address}: '{key}'"
        try:
            return _decode(store.get_bytes(key))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise IntegrityError(f"{where} is not a readable training state; delete it to train from the first epoch") from error

    def save(self, state: TrainingState) -> None:
        """Write the state over the one before, which stays when this fails."""
        if self._place:
            try:
                store, key = self._open()
                store.put_bytes(key, _encode(state))
            except StorageError as error:
                print(f"this epoch's state was not kept, training goes on: {error}", flush=True)

    def _open(self) -> tuple[ObjectStore, str]:
        """A store that gives up soon, and the state's key in it."""
        if self._opened is None:
            store, prefix = open_store(self._place)
            self._opened = store, join_key(prefix, self._name)
        return self._opened


def discard_states(place: str) -> None:
    """Remove the states in a folder: the step has put its output in place. Those of killed runs with other settings go as well.

    In an object store all stay. There the output leaves the pod only after the step has ended, and when that fails, the next attempt ends
    at once with the same model by the state of the finished training; and a training of another run may be under way.
    """
    if place and is_local(place):
        try:
            store, _ = open_store(place)
            for key in store.list_keys():
                if key.endswith(STATE_SUFFIX) and "/" not in key:
                    store.delete(key)
        except StorageError as error:
            print(f"the state of this finished training was not removed: {error}", flush=True)


def _encode(state: TrainingState) -> bytes:
    header = json.dumps({"curves": state.curves})
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
    return TrainingState(curves=header["curves"], **groups)
