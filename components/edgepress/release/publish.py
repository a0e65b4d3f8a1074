"""Publish a bundle, complete or not at all.

    <prefix>/<name>/<hex digest of the bundle>/<path>            every file that the manifest lists
    <prefix>/<name>/<hex digest of the bundle>/manifest.json     written last: the commit point

A release exists when its manifest does; readers look for nothing else. The digest in the key is the manifest's own, so two different
bundles never share a key and publishing one bundle again changes nothing.
"""

from pathlib import Path

from edgepress.contracts.release import MANIFEST_NAME, BundleFile, release_prefix
from edgepress.device.digest import digest_bytes
from edgepress.errors import IntegrityError, StorageError
from edgepress.release.verify import verify_files
from edgepress.storage import ObjectStore, join_key


def publish_bundle(bundle: Path, store: ObjectStore, prefix: str) -> str:
    """Upload a bundle, read every object back, and commit it with its manifest.

    Objects left by an attempt that was killed are kept when their content is right and written again when it is not. When an upload
    fails, what this attempt wrote is removed as far as the store still answers. One bundle is published by one process at a time.

    Returns:
        The key prefix under which it is published.

    Raises:
        IntegrityError: the bundle does not match its own manifest; nothing was uploaded.
        StorageError: the store cannot be reached, refuses, or gives back other bytes than it was given. No manifest was written, except
            when the message says that this is not known.
    """
    manifest, digest = verify_files(bundle)
    content = (bundle / MANIFEST_NAME).read_bytes()
    if digest_bytes(content) != digest:
        raise IntegrityError(f"{bundle / MANIFEST_NAME}: changed while it was being published; publish again")
    target = release_prefix(prefix, manifest.name, digest)
    manifest_key = join_key(target, MANIFEST_NAME)
    existing = set(store.list_keys(f"{target}/"))
    written: list[str] = []
    try:
        for file in manifest.files:
            _upload(bundle, file, store, join_key(target, file.path), existing, written)
    except BaseException as error:
        # A manifest that is there already promises these objects to its readers.
        removed = manifest_key in existing or _remove(store, written)
        if not isinstance(error, StorageError):
            raise
        left = "" if removed else f"; objects without a manifest, which no reader sees, are left under {target}"
        raise StorageError(f"{error}; the release was not published{left}") from error
    _commit(store, manifest_key, content)
    return target


def _upload(bundle: Path, file: BundleFile, store: ObjectStore, key: str, existing: set[str], written: list[str]) -> None:
    if key in existing and store.digest(key) == file.digest:
        return
    written.append(key)  # before the attempt: an upload whose answer was lost may have arrived
    store.put_file(key, bundle / file.path)
    if store.digest(key) != file.digest:
        raise StorageError(f"{store.address}: gave back other bytes for '{key}' than it was given")


def _remove(store: ObjectStore, keys: list[str]) -> bool:
    """Remove objects, as far as the store answers. Whether all were removed."""
    try:
        for key in keys:
            store.delete(key)
    except StorageError:
        return False  # the error that led here is the one to report; each further key would only wait for the same timeout
    return True


def _commit(store: ObjectStore, key: str, content: bytes) -> None:
    """Write the manifest. Once it may have been sent nothing is removed any more: it could arrive late, and must not point at nothing."""
    try:
        ours = store.put_if_absent(key, content)
    except StorageError as error:
        if not _holds(store, key, content):
            raise StorageError(f"{error}; whether the release was published is not known: publish it again") from error
        return  # it had arrived, only the answer was lost
    if not ours and store.get_bytes(key) != content:
        raise StorageError(f"{store.address}: '{key}' holds another manifest than its name says; remove that release and publish again")


def _holds(store: ObjectStore, key: str, content: bytes) -> bool:
    """Whether the store answers, and says that it holds this content."""
    try:
        return store.get_bytes(key) == content
    except StorageError:
        return False
