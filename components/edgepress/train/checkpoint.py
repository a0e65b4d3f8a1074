"""The state of a training after its last finished epoch: one file, so that it is whole or not there."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.digest import digest_bytes
from edgepress.contracts.files import write_atomically
from edgepress.errors import IntegrityError

CHECKPOINT_NAME = "training.npz"


@dataclass
class TrainingState:
    """What a training needs to go on.

    Attributes:
        fingerprint: digest of what the training was started with.
        curves: metric -> value of each finished epoch.
        weights: of the model as trained, in the order of ``tracked`` variables.
        optimizer: values of the optimizer's variables.
        best: the model's weights of the best epoch; empty when the best epoch is not kept.
    """

    fingerprint: str
    curves: dict[str, list[float]] = field(default_factory=dict)
    weights: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    best: list[NDArray[Any]] = field(default_factory=list)


def fingerprint(*parts: str) -> str:
    """Digest of the texts that determine a training."""
    return digest_bytes("\0".join(parts).encode())


def save_state(directory: Path, state: TrainingState) -> None:
    """Write the state, replacing the one before.

    Raises:
        OSError: the disk is full or the directory cannot be written; the state before is then still there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"fingerprint": state.fingerprint, "curves": state.curves})
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(header.encode(), np.uint8)}
    for group in ("weights", "optimizer", "best"):
        arrays |= {f"{group}_{index}": array for index, array in enumerate(getattr(state, group))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(directory / CHECKPOINT_NAME, buffer.getvalue())


def load_state(directory: Path, expected_fingerprint: str) -> TrainingState | None:
    """Read the state of a training started with the same things; None when there is none, or another training's.

    Raises:
        IntegrityError: the file cannot be read.
    """
    path = directory / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["fingerprint"] != expected_fingerprint:
                print(f"{path}: belongs to another training; starting from the first epoch", flush=True)
                return None
            groups = {
                group: [archive[f"{group}_{index}"] for index in range(sum(name.startswith(f"{group}_") for name in archive.files))]
                for group in ("weights", "optimizer", "best")
            }
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path}: is not a readable training state; delete it to train from the first epoch") from error
    return TrainingState(fingerprint=header["fingerprint"], curves=header["curves"], **groups)


def discard_state(directory: Path) -> None:
    """Remove the state: the training is finished and its model stored."""
    (directory / CHECKPOINT_NAME).unlink(missing_ok=True)
