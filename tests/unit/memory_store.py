"""An object store in memory, for tests whose subject is not the store; test_storage_stores holds it to the contract of the real ones."""

import hashlib
import threading
from pathlib import Path

from edgepress.device.digest import digest_bytes
from edgepress.device.files import write_atomically
from edgepress.errors import StorageError
from edgepress.storage.store import StoredObject


class MemoryStore:
    """A map from keys to bytes. Every call is atomic, as a store's are."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return "memory"

    def put_file(self, key: str, path: Path) -> None:
        self.put_bytes(key, path.read_bytes())

    def put_bytes(self, key: str, content: bytes) -> None:
        with self._lock:
            self._objects[key] = content

    def put_if_absent(self, key: str, content: bytes) -> bool:
        with self._lock:
            return self._objects.setdefault(key, content) is content

    def get_bytes(self, key: str) -> bytes:
        try:
            return self._objects[key]
        except KeyError as error:
            raise StorageError(f"memory: there is no '{key}'") from error

    def digest(self, key: str) -> str:
        return digest_bytes(self.get_bytes(key))

    def download_file(self, key: str, path: Path) -> None:
        write_atomically(path, self.get_bytes(key))

    def list_keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in list(self._objects) if key.startswith(prefix))

    def list_objects(self, prefix: str = "") -> list[StoredObject]:
        return [
            StoredObject(key, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())
            for key in self.list_keys(prefix)
            if (content := self._objects.get(key)) is not None
        ]

    def exists(self, key: str) -> bool:
        return key in self._objects

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)
