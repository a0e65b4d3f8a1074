"""Build the bundle's directory from the nominee, the verdict and the validation split."""

import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from edgepress.contracts.candidate import ARTIFACT_PATHS, ArtifactKind, CandidateRecord, read_candidate
from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.json_file import write_json
from edgepress.contracts.release import MANIFEST_NAME, BundleFile, ReleaseManifest, Versions, list_files
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.device.digest import digest_file
from edgepress.errors import IntegrityError
from edgepress.release.binding import check_binding
from edgepress.release.golden import write_golden
from edgepress.runtimes.artifact import read_artifact
from edgepress.runtimes.registry import runtime_version
from edgepress.storage.dataset import fetch_dataset


def build_bundle(
    bundle: Path, *, name: str, run_id: str, verdict: Path, nominee: Path, dataset: DatasetAddress, golden_examples: int
) -> ReleaseManifest:
    """Fill an empty directory with the bundle.

    Everything is copied first and checked then: what was checked is what ships, even if somebody changes the originals meanwhile.

    Args:
        bundle: an empty directory.
        name: of the pipeline's configuration.
        run_id: of the run that made it.
        verdict: directory with ``verdict.json``.
        nominee: candidate directory that was judged.
        dataset: dataset directory, or its address in an object store.
        golden_examples: examples of the validation split to ship with their outputs.

    Raises:
        IntegrityError: the verdict did not pass or is about other files, or the nominee's record disagrees with its files.
        OSError: the disk is full.
    """
    record = read_candidate(nominee)
    if record.failure is not None:
        raise IntegrityError(f"{nominee}: failed at {record.failure.stage} ({record.failure.reason}); there is nothing to release")
    opened = fetch_dataset(dataset)
    if record.dataset_digest != opened.manifest.digest:
        raise IntegrityError(f"{nominee}: was made from dataset {record.dataset_digest}, but {dataset} is {opened.manifest.digest}")
    for kind in record.artifacts:
        _copy(nominee / ARTIFACT_PATHS[kind], bundle / ARTIFACT_PATHS[kind])
    _copy(verdict / VERDICT_NAME, bundle / VERDICT_NAME)
    judged = read_verdict(bundle)
    artifacts = {kind: read_artifact(bundle, kind).digest for kind in record.artifacts}
    kinds = check_binding(
        judged,
        str(verdict / VERDICT_NAME),
        recipe=record.recipe,
        task=opened.manifest.task,
        dataset_digest=record.dataset_digest,
        models=bundle,
        digests=artifacts,
    )
    _check_recorded(artifacts, nominee, record)
    golden = write_golden(bundle, record.trace, kinds, opened.split("validation"), golden_examples)
    manifest = ReleaseManifest(
        name=name,
        run_id=run_id,
        recipe=record.recipe,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        versions=Versions(edgepress=version("edgepress"), runtime=", ".join(map(runtime_version, kinds)), python=platform.python_version()),
        dataset_digest=record.dataset_digest,
        task=opened.manifest.task,
        labels=opened.manifest.labels,
        artifacts=artifacts,
        verdict_digest=digest_file(bundle / VERDICT_NAME),
        hardware=judged.hardware,
        golden=golden,
        trace=tuple(stage.model_copy(update={"curves": {}}) for stage in record.trace),
        files=tuple(
            BundleFile(path=path.relative_to(bundle).as_posix(), digest=digest_file(path), size_bytes=path.stat().st_size)
            for path in list_files(bundle)
        ),
    )
    write_json(bundle / MANIFEST_NAME, manifest)
    return manifest


def _check_recorded(digests: Mapping[ArtifactKind, str], nominee: Path, record: CandidateRecord) -> None:
    """The copied artifacts must be those that the nominee's record names."""
    for kind, found in digests.items():
        if found != record.artifacts[kind]:
            path = nominee / ARTIFACT_PATHS[kind]
            raise IntegrityError(f"{path}: has digest {found}, but its record says {record.artifacts[kind]}; run again")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or the files of a directory. Not ``copytree``, which turns a full disk into an error without a number."""
    if not source.exists():
        raise IntegrityError(f"{source}: is missing; run the stage before it again")
    for path in list_files(source) if source.is_dir() else (source,):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
