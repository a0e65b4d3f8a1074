"""Build the bundle's directory from the nominee, the verdict and the test split."""

import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from edgepress.contracts.candidate import SAVED_MODEL_NAME, TFLITE_NAME, CandidateRecord, read_candidate
from edgepress.contracts.dataset import DatasetAddress
from edgepress.contracts.json_file import write_json
from edgepress.contracts.release import MANIFEST_NAME, BundleFile, ReleaseManifest, Versions, list_files
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.device.digest import digest_file, digest_tree
from edgepress.errors import IntegrityError
from edgepress.release.binding import check_binding
from edgepress.release.golden import write_golden
from edgepress.storage.dataset import fetch_dataset
from edgepress.tflite.litert import runtime_version


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
        golden_examples: examples of the test split to ship with their outputs.

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
    _copy(nominee / TFLITE_NAME, bundle / TFLITE_NAME)
    _copy(nominee / SAVED_MODEL_NAME, bundle / SAVED_MODEL_NAME)
    _copy(verdict / VERDICT_NAME, bundle / VERDICT_NAME)
    judged = read_verdict(bundle)
    check_binding(judged, str(verdict / VERDICT_NAME), recipe=record.recipe, dataset_digest=record.dataset_digest, models=bundle)
    tflite_digest, saved_model_digest = _recorded_digests(bundle, nominee, record)
    golden = write_golden(bundle, record, opened.split("test"), golden_examples)
    manifest = ReleaseManifest(
        name=name,
        run_id=run_id,
        recipe=record.recipe,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        versions=Versions(edgepress=version("edgepress"), runtime=runtime_version(), python=platform.python_version()),
        dataset_digest=record.dataset_digest,
        tflite_digest=tflite_digest,
        saved_model_digest=saved_model_digest,
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


def _recorded_digests(bundle: Path, nominee: Path, record: CandidateRecord) -> tuple[str, str]:
    """Digests of the copied models, which must be those that the nominee's record names."""
    copied = digest_file(bundle / TFLITE_NAME), digest_tree(bundle / SAVED_MODEL_NAME)
    recorded = record.tflite_digest, record.saved_model_digest
    for name, found, written in zip((TFLITE_NAME, SAVED_MODEL_NAME), copied, recorded, strict=True):
        if found != written:
            raise IntegrityError(f"{nominee / name}: has digest {found}, but its record says {written}; run again")
    return copied


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or the files of a directory. Not ``copytree``, which turns a full disk into an error without a number."""
    if not source.exists():
        raise IntegrityError(f"{source}: is missing; run the stage before it again")
    for path in list_files(source) if source.is_dir() else (source,):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
