"""The release step: what passed is bundled and published; nothing else ever is."""

import errno
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepress.contracts.config import ReleaseSettings
from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.release import PUBLISHED_NAME, PublishedRelease, read_manifest, release_prefix
from edgepress.device.files import new_directory
from edgepress.errors import EdgePressError
from edgepress.release.bundle import build_bundle
from edgepress.release.earlier import find_earlier
from edgepress.release.fetch import download_bundle
from edgepress.release.publish import publish_bundle
from edgepress.storage import join_key, open_store_for_task
from edgepress.task import task, tell_figure
from edgepress.telemetry import RELEASE

logger = logging.getLogger(__name__)


@task("release")
def release(
    *,
    name: str,
    run_id: str,
    settings: ReleaseSettings,
    verdict: Path,
    nominee: Path,
    dataset: DatasetAddress,
    output: Path,
    run_folder: str = "",
) -> str:
    """Bundle the judged nominee and publish it, complete or not at all.

    Refuses unless the verdict passed and is about this very model file and dataset. The bundle's directory appears only after the
    bundle was published. What an earlier attempt of the same run published is left as it is and becomes the output. Credentials come
    from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Args:
        name: of the pipeline's configuration; releases of one name are listed together.
        run_id: of the run that made the nominee.
        settings: where to publish, and how many golden examples to ship.
        verdict: directory with verdict.json.
        nominee: candidate directory that was judged.
        dataset: dataset directory, or its address in an object store.
        output: the bundle's directory to write; must not exist.
        run_folder: the run's folder, s3://bucket/prefix/runs/<run_id> or a local one, in which published.json then says where the bundle
            is; empty for none.

    Prints the URI of the published bundle.
    """
    with _full_disk_named(output), new_directory(output) as bundle:
        manifest = build_bundle(
            bundle,
            name=name,
            run_id=run_id,
            verdict=verdict,
            nominee=nominee,
            dataset=dataset,
            golden_examples=settings.golden_examples,
        )
        store, prefix = open_store_for_task(settings.uri, settings.endpoint_url)
        earlier = find_earlier(manifest, store, prefix)
        if earlier is None:
            published = publish_bundle(bundle, store, prefix)
        else:
            print(f"an earlier attempt of this run published {earlier}", flush=True)
            shutil.rmtree(bundle)
            bundle.mkdir()
            download_bundle(store, prefix, name, earlier, bundle)
            published = release_prefix(prefix, name, earlier)
    tell_figure(RELEASE, time.time())
    bucket = settings.uri.removeprefix("s3://").partition("/")[0]
    uri = f"s3://{bucket}/{published}"
    if run_folder:
        _record(run_folder, uri, output)
    return uri


def _record(run_folder: str, uri: str, bundle: Path) -> None:
    """Leave in the run's folder what was published. It is out already, so a store that is away for long must not fail the release."""
    manifest, digest = read_manifest(bundle)
    record = PublishedRelease(uri=uri, digest=digest, manifest=manifest)
    try:
        store, key = open_store_for_task(run_folder)
        store.put_bytes(join_key(key, PUBLISHED_NAME), record.model_dump_json(indent=2).encode() + b"\n")
    except EdgePressError as error:
        logger.warning("published as %s, but the run's folder does not tell: %s", uri, error)


@contextmanager
def _full_disk_named(output: Path) -> Iterator[None]:
    """Name the directory that lacks space: the error of a copy names its source, that of a write nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, str(output)) from error
        raise
