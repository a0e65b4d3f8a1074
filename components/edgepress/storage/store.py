"""The seam between EdgePress and wherever objects live: a flat map from keys to bytes.

A key is a relative POSIX path such as ``releases/digits/manifest.json``. Writes are whole or not at all: nobody ever reads half an object.
"""

from pathlib import Path
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """One object of a listing.

    Attributes:
        key: as it was written.
        size_bytes: of its content.
        etag: changes when the content does; comparable within one store only.
    """

    key: str
    size_bytes: int
    etag: str


class ObjectStore(Protocol):
    """What every store can do. Every method raises ``StorageError``, in one line, when the store is unreachable or refuses."""

    @property
    def address(self) -> str:
        """Where this store is, for messages: endpoint and bucket, or a folder."""

    def put_file(self, key: str, path: Path) -> None:
        """Write a file's content under a key, over what is there."""

    def put_bytes(self, key: str, content: bytes) -> None:
        """Write bytes under a key, over what is there."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write bytes under a key unless something is there; atomic among concurrent writers.

        Returns:
            Whether this call wrote. False also after a retry of a write whose first answer was lost: compare the content.
        """

    def get_bytes(self, key: str) -> bytes:
        """The object under a key. A key that is not there raises ``StorageError``."""

    def digest(self, key: str) -> str:
        """``sha256:<hex>`` of the object under a key, read in chunks and not kept. A key that is not there raises ``StorageError``."""

    def download_file(self, key: str, path: Path) -> None:
        """Write the object under a key into a local file, atomically. A key that is not there raises ``StorageError``."""

    def list_keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with a string, sorted."""

    def list_objects(self, prefix: str = "") -> list[StoredObject]:
        """All objects whose keys begin with a string, sorted by key. Reads no content where the store keeps an ETag."""

    def exists(self, key: str) -> bool:
        """Whether there is an object under a key."""

    def delete(self, key: str) -> None:
        """Remove the object under a key; nothing happens when there is none."""
