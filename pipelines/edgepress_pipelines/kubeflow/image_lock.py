"""The image lock: each image at the digest that was pushed. A kustomize Component, because kustomize reads the same file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgepress import images
from edgepress.errors import ConfigError, InputError
from edgepress_pipelines.config.errors import kind_of
from edgepress_pipelines.config.yaml_reader import read_yaml

TASK_IMAGES = (images.TRAINER, images.EVALUATOR, images.RELEASER)
"""The images that tasks run in: a lock without one of them compiles nothing."""

_WRITE_IT = "`make images PUSH=registry/prefix` writes it"
_KEYS = {"name", "newName", "digest"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# A registry's host with an optional port, then at least one path segment; neither tag nor digest.
_REPOSITORY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*)+")


@dataclass(frozen=True)
class ImageLock:
    """Which image each name stands for.

    Attributes:
        path: of the lock file.
        digests: name (``edgepress/trainer``) -> reference by digest (``registry/prefix/trainer@sha256:...``).
    """

    path: Path
    digests: Mapping[str, str]

    def reference(self, name: str) -> str:
        """An image's reference by digest.

        Raises:
            InputError: the lock does not name the image.
        """
        if name not in self.digests:
            raise InputError(f"{self.path}: has no image {name}; {_WRITE_IT}")
        return self.digests[name]


def read_image_lock(path: Path) -> ImageLock:
    """Read a lock, strictly: what cannot be pulled by digest is refused before anything is compiled.

    Raises:
        InputError: there is no lock, it lacks an image that tasks run in, or an image is not pinned by a digest.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no image lock, and tasks run only in images pinned by digest; {_WRITE_IT}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{path}: the image lock cannot be read ({reason}); {_WRITE_IT}") from error
    try:
        data = read_yaml(text, str(path)).data
    except ConfigError as error:
        raise InputError(f"{error}; {_WRITE_IT}") from error
    entries = data.get("images") if isinstance(data, dict) and data.get("kind") == "Component" else None
    if not isinstance(entries, list):
        raise InputError(f"{path}: is not an image lock, a kustomize Component with a list of images; {_WRITE_IT}")
    digests: dict[str, str] = {}
    for index, entry in enumerate(entries):
        name, reference = _read_entry(entry, f"{path}: images.{index}")
        if name in digests:
            raise InputError(f"{path}: images.{index}: {name} stands here a second time; {_WRITE_IT}")
        digests[name] = reference
    lock = ImageLock(path=path, digests=MappingProxyType(digests))
    for name in TASK_IMAGES:
        lock.reference(name)
    return lock


def _read_entry(entry: object, where: str) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be a mapping with name, newName and digest, is {kind_of(entry)}; {_WRITE_IT}")
    if "newTag" in entry:
        raise InputError(f"{where}: has the tag {entry['newTag']!r}, but a tag can be moved to another image; {_WRITE_IT} with digests")
    if set(entry) != _KEYS:
        wrong = sorted(str(key) for key in set(entry) ^ _KEYS)
        raise InputError(f"{where}: must have exactly the keys name, newName and digest, differs in {', '.join(wrong)}; {_WRITE_IT}")
    name, repository, digest = entry["name"], entry["newName"], entry["digest"]
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: name must be text, e.g. {images.TRAINER}, is {kind_of(name)}; {_WRITE_IT}")
    if not isinstance(repository, str) or not _REPOSITORY.fullmatch(repository):
        raise InputError(f"{where}: newName must be a repository such as registry.example.com/edgepress/trainer, is {kind_of(repository)}")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InputError(f"{where}: digest must be sha256: and 64 hex digits, is {kind_of(digest)}; {_WRITE_IT}")
    return name, f"{repository}@{digest}"
