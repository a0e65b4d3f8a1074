"""A trained model where the user keeps it: one file or a SavedModel directory, on this machine or in an object store.

The same content has the same digest everywhere: that of the file, or of the directory's relative paths and files.
"""

import shutil
from pathlib import Path, PurePosixPath

from edgepress.device.digest import digest_entries, digest_file, digest_tree
from edgepress.errors import ModelError
from edgepress.storage import ObjectStore, is_local, open_object, open_object_for_task
from edgepress.storage.folder import files_below


def digest_source(source: str) -> str:
    """Digest of a model's content; nothing is kept of what is read from a store.

    Args:
        source: local path or ``s3://`` URI; a directory is every key below the URI.

    Raises:
        ModelError: there is no such file or directory, or a directory that is no SavedModel.
        StorageError: the store cannot be reached or refuses.
    """
    if is_local(source):
        path = Path(source)
        if not path.exists():
            raise ModelError(f"{source}: there is no such model file or SavedModel directory")
        _require_saved_model(source, [file.relative_to(path).as_posix() for file in path.iterdir()] if path.is_dir() else [])
        try:
            return digest_tree(path) if path.is_dir() else digest_file(path)
        except OSError as error:
            raise ModelError(f"{source}: cannot be read ({error.strerror or error})") from error
    store, key = open_object(source)
    files = list_files(store, key, source)
    if not files:
        return store.digest(key)
    return digest_entries({relative: store.digest(each) for relative, each in files.items()})


def copy_source(source: str, copy: Path) -> None:
    """Copy a model to a new local file or directory, as a task that needs it.

    Raises:
        ModelError: as ``digest_source``.
        StorageError: the store cannot be reached or refuses.
    """
    if is_local(source):
        path = Path(source)
        try:
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copyfile(path, copy)
        except OSError as error:
            raise ModelError(f"{source}: cannot be read ({error.strerror or error})") from error
        return
    store, key = open_object_for_task(source)
    files = list_files(store, key, source)
    if not files:
        store.download_file(key, copy)
    for relative, each in files.items():
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        store.download_file(each, copy / relative)


def list_files(store: ObjectStore, key: str, source: str) -> dict[str, str]:
    """Relative path -> key of each file below a key; empty when the key is one file.

    Raises:
        ModelError: there is neither an object nor a SavedModel, or a key that is no plain relative path.
    """
    if store.exists(key):
        return {}
    found = files_below(store, key, source, ModelError)
    if not found:
        raise ModelError(f"{source}: there is no such object in {store.address}, and nothing below it")
    _require_saved_model(source, list(found))
    return found


def source_name(source: str) -> str:
    """The last part of a path or URI."""
    return PurePosixPath(source).name


def _require_saved_model(source: str, files: list[str]) -> None:
    if files and "saved_model.pb" not in files:
        raise ModelError(f"{source}: holds no saved_model.pb, so it is not a SavedModel")
