"""Opening the store that a URI names."""

from edgepress.errors import ConfigError
from edgepress.storage.filesystem import FilesystemStore
from edgepress.storage.store import ObjectStore
from edgepress.storage.uri import is_local, local_path

TASK_PATIENCE_S = 120.0
"""For the IO that a task cannot do without: a store that restarts within two minutes costs no task its work. A command at a terminal, and
what a task can do without, is better told at once."""


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
