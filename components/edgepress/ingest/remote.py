"""Sources in an object store: copied to the working disk, then read like local ones.

The endpoint and the credentials come from the environment (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``).
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from edgepress.errors import DataError
from edgepress.storage import open_store_for_task
from edgepress.storage.folder import files_below

CONCURRENT_DOWNLOADS = 16
"""Small images are bound by the round trip, not by the bandwidth."""


def download(uri: str, folder: Path, *, single_file: bool) -> Path:
    """Copy one object, or everything under a prefix, into ``folder``; gives the local file or folder, named as in the store.

    Raises:
        DataError: there is no such object, nothing under the prefix, or a key that is no plain relative path.
        StorageError: the store cannot be reached or refuses.
    """
    store, prefix = open_store_for_task(uri)
    if single_file:
        folder.mkdir(parents=True)
        path = folder / PurePosixPath(prefix).name
        if not store.exists(prefix):
            raise DataError(f"dataset.source {uri}: there is no such object in the store")
        store.download_file(prefix, path)
        return path
    files = files_below(store, prefix, f"dataset.source {uri}", DataError)
    if not files:
        raise DataError(f"dataset.source {uri}: the store holds nothing there")
    folder = folder / (PurePosixPath(prefix).name or "bucket")
    targets = {key: folder / relative for relative, key in files.items()}
    for parent in {target.parent for target in targets.values()}:
        parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(CONCURRENT_DOWNLOADS) as pool:
        futures = [pool.submit(store.download_file, key, target) for key, target in targets.items()]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return folder
