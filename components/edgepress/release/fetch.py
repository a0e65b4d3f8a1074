"""Find and fetch published bundles."""

from pathlib import Path

from edgepress.contracts.release import MANIFEST_NAME, parse_manifest, release_prefix
from edgepress.device.files import new_directory
from edgepress.errors import IntegrityError
from edgepress.release.verify import verify_files
from edgepress.storage import ObjectStore, join_key


def list_releases(store: ObjectStore, prefix: str, name: str) -> list[str]:
    """Digests of the bundles published under a name, sorted. What has no manifest is no release.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    start = f"{join_key(prefix, name)}/"
    relative = (key.removeprefix(start).split("/") for key in store.list_keys(start))
    return sorted(f"sha256:{parts[0]}" for parts in relative if len(parts) == 2 and parts[1] == MANIFEST_NAME)


def fetch_bundle(store: ObjectStore, prefix: str, name: str, digest: str, output: Path) -> None:
    """Download a published bundle into a new directory and verify its files; the directory appears only when all is right.

    Args:
        store: where it is published.
        prefix: of all releases.
        name: of the pipeline's configuration.
        digest: of the bundle.
        output: the directory to write; must not exist.

    Raises:
        InputError: ``output`` exists.
        StorageError: the store cannot be reached, or there is no such release.
        IntegrityError: it does not hold what its digest says.
    """
    with new_directory(output) as building:
        download_bundle(store, prefix, name, digest, building)


def download_bundle(store: ObjectStore, prefix: str, name: str, digest: str, directory: Path) -> None:
    """Fill an empty directory with a published bundle and verify its files; arguments and errors as ``fetch_bundle``."""
    source = release_prefix(prefix, name, digest)
    store.download_file(join_key(source, MANIFEST_NAME), directory / MANIFEST_NAME)
    manifest = parse_manifest((directory / MANIFEST_NAME).read_bytes(), f"{store.address}: {source}/{MANIFEST_NAME}")
    for file in manifest.files:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(join_key(source, file.path), path)
    _, found = verify_files(directory)
    if found != digest:
        raise IntegrityError(f"{store.address}: '{source}' holds bundle {found}, not {digest}; publish it again")
