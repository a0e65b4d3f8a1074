"""Dataset directories in an object store, under a key made of their content's digest, so that an address never changes its meaning.

<prefix>/<hex digest>/<path>          every file of the directory but the manifest
<prefix>/<hex digest>/dataset.json    written last: a dataset is there when its manifest is
"""

import os
import shutil
import tempfile
from pathlib import Path

from edgepress.contracts.dataset import MANIFEST_NAME, DatasetAddress, DatasetDirectory, open_dataset, verify_dataset
from edgepress.errors import DataError, IntegrityError, StorageError
from edgepress.storage.folder import files_below
from edgepress.storage.opening import open_store_for_task
from edgepress.storage.uri import join_key

FETCHED_NAME = "edgepress-datasets"
"""Folder for fetched datasets in the directory for temporary files. A pod's is its own, and goes with it."""


def is_stored(address: DatasetAddress) -> bool:
    """Whether an address names an object store and not a local folder."""
    return isinstance(address, str) and address.startswith("s3://")


def store_dataset(dataset: DatasetDirectory, uri: str) -> str:
    """Upload a dataset directory unless it is there already.

    Args:
        dataset: what to upload; its content is what its manifest says.
        uri: ``s3://bucket/prefix`` of all datasets.

    Returns:
        its address, ``<uri>/<hex digest>``.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    store, prefix = open_store_for_task(uri)
    name = dataset.manifest.digest.removeprefix("sha256:")
    if not store.exists(join_key(prefix, name, MANIFEST_NAME)):
        files = sorted(path for path in dataset.path.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path.name == MANIFEST_NAME):
            store.put_file(join_key(prefix, name, path.relative_to(dataset.path).as_posix()), path)
    return f"{uri.rstrip('/')}/{name}"


def fetch_dataset(address: DatasetAddress) -> DatasetDirectory:
    """Open a dataset. One in an object store is downloaded and verified first, once for each machine.

    Raises:
        DataError: a local path is not a dataset directory.
        StorageError: the store cannot be reached, or has no such dataset.
        IntegrityError: what was downloaded is not what its address says.
    """
    if not is_stored(address):
        return open_dataset(Path(address))
    address = str(address).rstrip("/")
    name = address.rpartition("/")[2]
    place = Path(tempfile.gettempdir()) / FETCHED_NAME / name
    if not place.exists():
        _download(address, place)
    return open_dataset(place)


def _download(address: str, place: Path) -> None:
    store, key = open_store_for_task(address)
    files = files_below(store, key, address)
    if MANIFEST_NAME not in files:
        raise StorageError(f"{address}: there is no dataset; was it removed from the store? Start a new run, which ingests it again")
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        for relative, found in files.items():
            path = building / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download_file(found, path)
        _check(building, address)
        try:
            os.replace(building, place)
        except OSError:
            if not place.exists():  # otherwise another task of this machine was quicker
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check(directory: Path, address: str) -> None:
    try:
        digest = verify_dataset(directory).manifest.digest
    except DataError as error:
        raise IntegrityError(f"{address}: is incomplete ({error})") from error
    if digest.removeprefix("sha256:") != address.rpartition("/")[2]:
        raise IntegrityError(f"{address}: holds dataset {digest}; remove it from the store and start a new run")
