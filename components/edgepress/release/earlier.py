"""What an earlier attempt of the same run published: a release task that is started again must not publish a second release."""

from concurrent.futures import ThreadPoolExecutor

from edgepress.contracts.release import MANIFEST_NAME, ReleaseManifest, parse_manifest, release_prefix
from edgepress.errors import IntegrityError
from edgepress.release.fetch import list_releases
from edgepress.storage import ObjectStore, join_key

CONCURRENT_READS = 16
"""Manifests are small: reading them is bound by the round trip."""


def find_earlier(manifest: ReleaseManifest, store: ObjectStore, prefix: str) -> str | None:
    """Digest of a published bundle that differs from this one only in when and on which machine it was built; None when there is none.

    Two attempts of one run give two manifests: each says when it was built, and golden outputs are those of the machine that bundled.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    digests = list_releases(store, prefix, manifest.name)
    keys = [join_key(release_prefix(prefix, manifest.name, digest), MANIFEST_NAME) for digest in digests]
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        contents = pool.map(store.get_bytes, keys)
        return next((digest for digest, content in zip(digests, contents, strict=True) if _is_of_same_run(content, manifest)), None)


def _is_of_same_run(content: bytes, manifest: ReleaseManifest) -> bool:
    try:
        published = parse_manifest(content, MANIFEST_NAME)
    except IntegrityError:
        return False  # whatever it is, this run did not write it
    return _comparable(published) == _comparable(manifest)


def _comparable(manifest: ReleaseManifest) -> tuple[object, ...]:
    digests = manifest.artifacts, manifest.verdict_digest, manifest.dataset_digest
    return manifest.name, manifest.run_id, manifest.recipe, manifest.versions, manifest.golden.examples, *digests
