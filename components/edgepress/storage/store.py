"""The seam between EdgePress and wherever objects live: a flat map from keys to bytes.

A key is a relative POSIX path such as ``releases/digits/manifest.json``. Writes are whole or not at all: nobody ever reads half an object.
"""

import re
from pathlib import Path
from typing import NamedTuple, Protocol

from edgepress.errors import ConfigError

TASK_PATIENCE_S = 120.0
"""For the IO that a task cannot do without: a store that restarts within two minutes costs no task its work. A command at a terminal, and
what a task can do without, is better told at once."""

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")


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


def open_store(uri: str, endpoint_url: str | None = None, *, patience_s: float = 0.0) -> tuple[ObjectStore, str]:
    """Open the store that a URI names.

    Args:
        uri: ``s3://bucket/prefix`` or a local path.
        endpoint_url: of an S3-compatible server; None takes ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, else Amazon's own.
            Credentials come from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``).
        patience_s: how long each operation is tried again while an S3 server cannot be reached or is overloaded, with pauses that
            double; 0 gives up after the client's few immediate retries. Refusals are told at once.

    Returns:
        The store, and the key (or prefix of keys) that the URI names within it, without slashes at its ends; empty for a local path.

    Raises:
        ConfigError: the URI names no bucket or a scheme other than ``s3``, or the endpoint is not a URL.
    """
    if uri.startswith("s3://"):
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigError(f"{uri}: names no bucket; write s3://bucket/prefix")
        from edgepress.storage.s3 import S3Store  # boto3 takes 0.3 s to import; local paths do without

        return S3Store(bucket, endpoint_url, patience_s), prefix.strip("/")
    from edgepress.storage.filesystem import FilesystemStore

    return FilesystemStore(local_path(uri)), ""


def open_store_for_task(uri: str, endpoint_url: str | None = None) -> tuple[ObjectStore, str]:
    """``open_store`` for what a task cannot do without: it waits out a store that is away for up to ``TASK_PATIENCE_S``."""
    return open_store(uri, endpoint_url, patience_s=TASK_PATIENCE_S)


def open_object(uri: str, endpoint_url: str | None = None, *, patience_s: float = 0.0) -> tuple[ObjectStore, str]:
    """Open the store around one object, ``s3://bucket/key`` or the path of a local file; gives the store and the object's key.

    Raises:
        ConfigError: as ``open_store``, or the URI names no object.
    """
    if is_local(uri):
        path = local_path(uri)
        store, key = open_store(str(path.parent))[0], path.name
    else:
        store, key = open_store(uri, endpoint_url, patience_s=patience_s)
    if not key:
        raise ConfigError(f"{uri}: names no object; write s3://bucket/key or the path of a file")
    return store, key


def open_object_for_task(uri: str) -> tuple[ObjectStore, str]:
    """``open_object`` for what a task cannot do without, as ``open_store_for_task``."""
    return open_object(uri, patience_s=TASK_PATIENCE_S)


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return not _SCHEME.match(uri)


def local_path(uri: str) -> Path:
    """The path that a local URI is.

    Raises:
        ConfigError: it has a scheme.
    """
    if not is_local(uri):
        raise ConfigError(f"{uri}: is neither s3://bucket/prefix nor a local path")
    return Path(uri)


def join_uri(uri: str, *parts: str) -> str:
    """A place below another: ``s3://bucket/prefix`` or a folder, and the parts of a key."""
    return f"{uri.rstrip('/')}/{join_key(*parts)}"


def join_key(*parts: str) -> str:
    """Join parts of a key with single slashes, leaving empty ones out."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))
