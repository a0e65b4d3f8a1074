"""Verify a bundle: every byte is accounted for, the verdict is about these files, and the model runs here as it ran there."""

from pathlib import Path

from edgepress.contracts.candidate import ARTIFACT_PATHS
from edgepress.contracts.release import MANIFEST_NAME, ReleaseManifest, list_files, read_manifest
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.device.digest import digest_file
from edgepress.device.files import check_regular
from edgepress.device.self_test import GOLDEN_INPUTS_NAME, golden_name
from edgepress.errors import IntegrityError
from edgepress.release.binding import check_binding
from edgepress.release.golden import check_all_golden
from edgepress.runtimes.artifact import read_artifact


def verify_bundle(directory: Path) -> tuple[ReleaseManifest, str]:
    """Verify everything about a bundle.

    Returns:
        Its manifest and its digest.

    Raises:
        IntegrityError: a file is missing, unlisted or changed; the verdict did not pass, contradicts itself or is about
            other files; or golden outputs differ on this machine, or may differ by more than such outputs need.
        InputError: the runtime of an artifact with golden outputs is not installed here.
        ModelError: an artifact cannot run here.
    """
    manifest, digest = verify_files(directory)
    check_all_golden(directory, manifest)
    return manifest, digest


def verify_files(directory: Path) -> tuple[ReleaseManifest, str]:
    """Verify all but the golden examples: digests, completeness, nothing unlisted, and what the verdict is bound to.

    Returns and raises as ``verify_bundle``.
    """
    manifest, digest = read_manifest(directory)
    found = {path.relative_to(directory).as_posix(): path for path in list_files(directory)}
    found.pop(MANIFEST_NAME)
    listed = {file.path: file for file in manifest.files}
    required = {VERDICT_NAME, GOLDEN_INPUTS_NAME, *map(golden_name, manifest.golden.tolerance)}
    if missing := sorted((listed.keys() | required) - (found.keys() & listed.keys())):
        raise IntegrityError(f"{directory / missing[0]}: is missing{_and_more(missing)}; fetch the bundle again")
    if extra := sorted(found.keys() - listed.keys()):
        raise IntegrityError(f"{directory / extra[0]}: is not in {MANIFEST_NAME}{_and_more(extra)}; fetch the bundle again")
    for name, file in listed.items():
        path = found[name]
        check_regular(path)
        if path.stat().st_size != file.size_bytes or digest_file(path) != file.digest:
            raise IntegrityError(f"{path}: is not the file that {MANIFEST_NAME} lists ({file.digest}); fetch the bundle again")
    _check_summary(directory, manifest)
    return manifest, digest


def _check_summary(directory: Path, manifest: ReleaseManifest) -> None:
    """The manifest's named digests, and the verdict, are about the listed files."""
    for kind, name in ARTIFACT_PATHS.items():
        if kind not in manifest.artifacts and (directory / name).exists():
            raise IntegrityError(f"{directory / name}: is not an artifact that {MANIFEST_NAME} names; fetch the bundle again")
    digests = {kind: read_artifact(directory, kind).digest for kind in manifest.artifacts}
    named = {ARTIFACT_PATHS[kind]: (stated, digests[kind]) for kind, stated in manifest.artifacts.items()}
    named[VERDICT_NAME] = manifest.verdict_digest, digest_file(directory / VERDICT_NAME)
    for name, (stated, actual) in named.items():
        if stated != actual:
            raise IntegrityError(f"{directory / name}: has digest {actual}, not {stated} as {MANIFEST_NAME} says; fetch the bundle again")
    judged = check_binding(
        read_verdict(directory),
        str(directory / VERDICT_NAME),
        recipe=manifest.recipe,
        task=manifest.task,
        dataset_digest=manifest.dataset_digest,
        models=directory,
        digests=digests,
    )
    if untested := set(judged) - manifest.golden.tolerance.keys():
        raise IntegrityError(
            f"{directory / MANIFEST_NAME}: names no golden outputs of {', '.join(sorted(untested))}; build the bundle again"
        )


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
