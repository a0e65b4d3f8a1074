"""The release bundle: everything that is shipped, and ``manifest.json``, which accounts for each byte of it.

manifest.json         the record below; its own digest is the bundle's identity
model.tflite          what devices run
saved_model/          what TensorFlow Serving loads
verdict.json          the judgement that let the bundle out
golden/inputs.npz     examples of the validation split: one array [n, *shape] per named input; test examples do not leave the house
golden/<kind>.npz     what the artifact of that kind gave for them when it was bundled, see ``edgepress.device.self_test``; of the kinds
                      that the verdict judged
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from edgepress.contracts.candidate import ArtifactKind, StageRecord
from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.verdict import HardwareStatement
from edgepress.device.digest import digest_bytes
from edgepress.device.files import check_regular
from edgepress.errors import IntegrityError
from edgepress.tasks.task import TaskName

MANIFEST_NAME = "manifest.json"

MOST_MANIFEST_BYTES = 16 << 20
"""A manifest takes some KB; it is read before anything about it is known."""

PUBLISHED_NAME = "published.json"
"""In a run's folder: where its bundle was published."""


def _stays_inside(path: str) -> str:
    parsed = PurePosixPath(path)
    if parsed.is_absolute() or ".." in parsed.parts or str(parsed) != path or path == "." or "\\" in path or not path.isprintable():
        raise ValueError("is not a plain relative path inside the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_stays_inside)]
UtcTime = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class BundleFile(StrictModel):
    """One file of the bundle."""

    path: BundlePath
    digest: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class GoldenExamples(StrictModel):
    """How to see that a machine runs the model as it ran when it was bundled.

    Attributes:
        examples: number of inputs.
        tolerance: kind -> largest absolute difference of any output value that still counts as the same; a kind that was not judged, and
            so not run either, is absent.
    """

    examples: Annotated[int, Field(ge=1)]
    tolerance: Annotated[dict[ArtifactKind, Annotated[float, Field(gt=0.0)]], Field(min_length=1)]


class Versions(StrictModel):
    """What made the bundle, e.g. ``0.1.0``, ``litert 2.3.0``, ``3.11.7``."""

    edgepress: str
    runtime: str
    python: str


class ReleaseManifest(StrictModel):
    """What ``manifest.json`` holds.

    Attributes:
        created: when the bundle was built, UTC.
        dataset_digest: of the dataset that trained, selected and judged the model.
        task: the kind of learning task.
        labels: names of the classes or targets.
        artifacts: kind -> digest of the file or directory.
        verdict_digest: of ``verdict.json``.
        hardware: that the verdict's latencies hold for.
        trace: the stages that made the model, in order, with settings and measured facts; their curves stay in the run's report.
        files: every file of the bundle but the manifest, sorted by path.
    """

    schema_version: Literal[2] = 2
    name: str
    run_id: str
    recipe: str
    created: UtcTime
    versions: Versions
    dataset_digest: Digest
    task: TaskName
    labels: tuple[str, ...]
    artifacts: Annotated[dict[ArtifactKind, Digest], Field(min_length=1)]
    verdict_digest: Digest
    hardware: HardwareStatement
    golden: GoldenExamples
    trace: tuple[StageRecord, ...]
    files: Annotated[tuple[BundleFile, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _files_are_listed_once(self) -> "ReleaseManifest":
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)) or MANIFEST_NAME in paths:
            raise ValueError(f"files must be sorted, each listed once, without {MANIFEST_NAME} itself")
        return self

    @model_validator(mode="after")
    def _golden_examples_are_of_what_is_shipped(self) -> "ReleaseManifest":
        unknown = sorted(self.golden.tolerance.keys() - self.artifacts.keys())
        if unknown:
            raise ValueError(f"golden examples of {', '.join(unknown)}, which the bundle does not hold")
        return self

    def file(self, path: str) -> BundleFile | None:
        """The entry of a path, or None."""
        return next((file for file in self.files if file.path == path), None)


class PublishedRelease(StrictModel):
    """What ``published.json`` holds.

    Attributes:
        uri: of the published bundle.
        digest: the bundle's identity.
        manifest: the bundle's.
    """

    schema_version: Literal[2] = 2
    uri: str
    digest: Digest
    manifest: ReleaseManifest


def parse_manifest(content: bytes, source: str) -> ReleaseManifest:
    """Read a manifest's bytes.

    Args:
        content: of ``manifest.json``.
        source: what to call it in errors.

    Raises:
        IntegrityError: this is no manifest.
    """
    try:
        return ReleaseManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{source}: is not a bundle's manifest of schema version 2 ({where}: {first['msg']})") from error


def read_manifest(directory: Path) -> tuple[ReleaseManifest, str]:
    """Read a bundle's manifest, and the bundle's digest, which is the digest of the manifest's bytes.

    Raises:
        IntegrityError: there is no valid manifest.
    """
    path = directory / MANIFEST_NAME
    try:
        check_regular(path)
        with path.open("rb") as file:
            content = file.read(MOST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror}); this is not a release bundle") from error
    if len(content) > MOST_MANIFEST_BYTES:
        raise IntegrityError(f"{path}: is larger than {MOST_MANIFEST_BYTES:,} bytes; this is not a release bundle")
    return parse_manifest(content, str(path)), digest_bytes(content)


def read_published(run_dir: Path) -> PublishedRelease | None:
    """Where a run's bundle was published; None when the run published none.

    Raises:
        IntegrityError: the record cannot be read.
    """
    path = run_dir / PUBLISHED_NAME
    if not path.is_file():
        return None
    try:
        return PublishedRelease.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{path}: is not a record of a release that this release of EdgePress can read") from error


def list_files(directory: Path) -> Iterator[Path]:
    """Every file below a directory, links included, sorted by relative POSIX path."""
    files = (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    yield from sorted(files, key=lambda path: path.relative_to(directory).as_posix())


def release_prefix(prefix: str, name: str, digest: str) -> str:
    """The key prefix of a bundle's objects in its store, from its name and digest; ``prefix`` may be empty."""
    return "/".join(part for part in (prefix.strip("/"), name, digest.removeprefix("sha256:")) if part)
