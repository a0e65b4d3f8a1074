"""The digest of a data source, or of a model to adopt, where it lies: nothing is downloaded, ingested or checked.

It answers one question, whether the content is another than last time. It is not the dataset's digest, which ingest computes from what
it wrote, nor a model's (``models.source``), which reads every byte.
"""

import hashlib
import json
from pathlib import Path, PurePosixPath

from edgepress.contracts.config import BUILTIN_SOURCES
from edgepress.device.digest import digest_bytes, digest_file, digest_tree
from edgepress.errors import DataError, StorageError
from edgepress.storage import open_store, open_store_for_task

S3_SCHEME = "s3://"
SINGLE_FILE_SUFFIXES = (".npz", ".h5", ".keras")
"""At ``s3://`` these name one object; anything else is a prefix, whose objects are the files of a folder."""


def digest_in_place(source: str, key: str, *, for_task: bool = False) -> str:
    """Digest of what a configuration's key names.

    A built-in set (``digits``, ``fashion-mnist``) never changes under its name, and its reader is in the trainer's image, whose
    digest belongs to the code: the name is enough. Local files and folders are read. Objects at ``s3://`` are listed: their keys
    below the source, sizes and ETags count, so a copy in another store, or the same bytes uploaded in parts of another size, count as new.

    Args:
        source: a built-in's name, an absolute local path, or ``s3://bucket/key``.
        key: of the configuration, for messages: ``dataset.source`` or ``baseline.from``.
        for_task: wait for a store that is away, as tasks do.

    Raises:
        DataError: there is nothing there, or it cannot be read.
        StorageError: the object store cannot be reached or refuses.
    """
    if source in BUILTIN_SOURCES:
        return digest_bytes(f"builtin {source}".encode())
    if source.startswith(S3_SCHEME):
        return _digest_objects(source, key, for_task)
    path = Path(source)
    try:
        if path.is_dir():
            return digest_tree(path)
        return digest_file(path)
    except OSError as error:
        raise DataError(f"{key}: {error.filename or source} cannot be read here ({error.strerror})") from error


def is_single_object(uri: str) -> bool:
    """Whether a source at ``s3://`` is one object rather than everything below a prefix."""
    return PurePosixPath(uri).suffix in SINGLE_FILE_SUFFIXES


def object_location(uri: str) -> tuple[str, str]:
    """Bucket of a source at ``s3://``, and its key, or the prefix of its keys with a slash at the end; empty for the whole bucket."""
    bucket, _, path = uri.removeprefix(S3_SCHEME).partition("/")
    path = path.strip("/")
    return bucket, path if is_single_object(uri) or not path else f"{path}/"


def _digest_objects(uri: str, key: str, for_task: bool) -> str:
    _, location = object_location(uri)
    single = is_single_object(uri)
    try:
        store, _ = (open_store_for_task if for_task else open_store)(uri)
        listed = store.list_objects(location)
    except StorageError as error:
        raise StorageError(f"{key}: {error}") from error
    # As ingest has it: empty "name/" objects are how some tools mark folders.
    entries = [entry for entry in listed if (entry.key == location if single else not entry.key.endswith("/"))]
    if not entries:
        problem = "there is no such object in the store" if single else "the store holds nothing there"
        raise DataError(f"{key}: {uri}: {problem}")
    sha256 = hashlib.sha256()
    for entry in entries:
        sha256.update(f"{json.dumps([entry.key.removeprefix(location), entry.size_bytes, entry.etag])}\n".encode())
    return f"sha256:{sha256.hexdigest()}"
