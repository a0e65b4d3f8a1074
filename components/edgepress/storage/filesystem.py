"""A folder as an object store: each key is a file below it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from edgepress.device.digest import digest_file
from edgepress.device.files import fsync_directory
from edgepress.errors import StorageError
from edgepress.storage.store import StoredObject

_TEMPORARY_PREFIX = ".writing-"


class FilesystemStore:
    """An ``ObjectStore`` on a local folder, which is made by the first write. Files are fsynced before they appear under their key."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def address(self) -> str:
        return str(self._root)

    def put_file(self, key: str, path: Path) -> None:
        with self._explaining(key), self._written(key) as (file, temporary), path.open("rb") as source:
            shutil.copyfileobj(source, file)
            _finish(file)
            os.replace(temporary, self._path(key))

    def put_bytes(self, key: str, content: bytes) -> None:
        with self._explaining(key), self._written(key) as (file, temporary):
            file.write(content)
            _finish(file)
            os.replace(temporary, self._path(key))

    def put_if_absent(self, key: str, content: bytes) -> bool:
        with self._explaining(key), self._written(key) as (file, temporary):
            file.write(content)
            _finish(file)
            try:
                os.link(temporary, self._path(key))  # unlike rename, fails when the name is taken
            except FileExistsError:
                return False
            return True

    def get_bytes(self, key: str) -> bytes:
        with self._explaining(key):
            return self._path(key).read_bytes()

    def digest(self, key: str) -> str:
        with self._explaining(key):
            return digest_file(self._path(key))

    def download_file(self, key: str, path: Path) -> None:
        source = self._path(key)
        with self._explaining(key):
            source.stat()
        copy_into_place(source, path)

    def list_keys(self, prefix: str = "") -> list[str]:
        with self._explaining(prefix):
            files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_TEMPORARY_PREFIX))
            keys = (path.relative_to(self._root).as_posix() for path in files)
            return sorted(key for key in keys if key.startswith(prefix))

    def list_objects(self, prefix: str = "") -> list[StoredObject]:
        with self._explaining(prefix):
            paths = {key: self._path(key) for key in self.list_keys(prefix)}
            return [StoredObject(key=key, size_bytes=path.stat().st_size, etag=digest_file(path)) for key, path in paths.items()]

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        with self._explaining(key):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise StorageError(f"{self.address}: '{key}' is not a key; keys are relative paths without '..'")
        return self._root.joinpath(*parts)

    @contextmanager
    def _written(self, key: str) -> Iterator[tuple[BinaryIO, str]]:
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, temporary
        finally:
            Path(temporary).unlink(missing_ok=True)
        fsync_directory(folder)

    @contextmanager
    def _explaining(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StorageError(f"{self.address}: there is no '{key}'") from error
        except OSError as error:
            advice = "; free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise StorageError(f"{self.address}: '{key}' cannot be read or written ({error.strerror}){advice}") from error


def copy_into_place(source: Path, path: Path) -> None:
    """Copy a file to a temporary sibling of ``path``, fsync it, and rename it into place.

    Raises:
        OSError: the disk is full or the directory cannot be written; ``path`` is then as it was before.
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{path.name}.{os.getpid()}")
    try:
        with source.open("rb") as reader, temporary.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            _finish(writer)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
