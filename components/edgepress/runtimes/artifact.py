"""One artifact of a candidate or a bundle, and the digest of its content."""

from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.candidate import ARTIFACT_PATHS, ArtifactKind, CandidateRecord
from edgepress.device.digest import digest_bytes, digest_tree
from edgepress.errors import InputError, IntegrityError


@dataclass(frozen=True)
class Artifact:
    """A file or directory as it was found.

    Attributes:
        kind: which decides what runs it.
        path: of the file or directory.
        digest: of its content.
        content: of a file, the very bytes that the digest is of; None for a directory, which its runtime reads anew.
    """

    kind: ArtifactKind
    path: Path
    digest: str
    content: bytes | None


def artifact_kind(name: str) -> ArtifactKind:
    """The kind of a name.

    Raises:
        InputError: there is no such kind.
    """
    for kind in ARTIFACT_PATHS:
        if kind == name:
            return kind
    raise InputError(f"artifact: {name} is none of {', '.join(ARTIFACT_PATHS)}")


def read_artifact(directory: Path, kind: ArtifactKind) -> Artifact:
    """Read the artifact of a kind from a candidate directory or a bundle.

    Raises:
        IntegrityError: it is not there or cannot be read.
    """
    path = directory / ARTIFACT_PATHS[kind]
    try:
        if path.is_dir():
            return Artifact(kind, path, digest_tree(path), None)
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror}); make it again") from error
    return Artifact(kind, path, digest_bytes(content), content)


def read_recorded(candidate: Path, record: CandidateRecord, kind: ArtifactKind) -> Artifact:
    """Read an artifact of a candidate that is the very one that the candidate's record names.

    Raises:
        IntegrityError: it is not there, or another one.
    """
    artifact = read_artifact(candidate, kind)
    if artifact.digest != record.artifacts.get(kind):
        recorded = record.artifacts.get(kind, "none")
        raise IntegrityError(f"{artifact.path}: has digest {artifact.digest}, but its record says {recorded}; convert the candidate again")
    return artifact
