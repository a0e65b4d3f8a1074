"""The image lock: which content each image's name stands for. Both kustomize and the compiler of pipelines read it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepress.errors import EdgePressError
from edgepress.images import IMAGES

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_HEADER = """\
# What `make images PUSH=registry/prefix` pushed: each image at the digest under which its registry holds it.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
"""


@dataclass(frozen=True)
class PushedImage:
    """Where an image is.

    Attributes:
        repository: registry and path, without a tag, e.g. ``registry.example.com/team/trainer``.
        digest: of its manifest, or of its index when it is for several machines: ``sha256:`` and 64 hex digits.
    """

    repository: str
    digest: str


def render_lock(pushed: Mapping[str, PushedImage]) -> str:
    """The text of the lock's kustomization.yaml.

    Raises:
        EdgePressError: an image is missing, or a digest is none.
    """
    missing = [image for image in IMAGES if image not in pushed]
    if missing:
        raise EdgePressError(f"the image lock names all images together, and {', '.join(missing)} was not pushed")
    broken = next((image for image in IMAGES if not _DIGEST.fullmatch(pushed[image].digest)), None)
    if broken is not None:
        raise EdgePressError(f"{broken}: {pushed[broken].digest!r} is not a digest; the image lock is left as it was")
    return _HEADER + "".join(
        f"  - name: {image}\n    newName: {pushed[image].repository}\n    digest: {pushed[image].digest}\n" for image in IMAGES
    )


def write_lock(path: Path, pushed: Mapping[str, PushedImage]) -> None:
    """Write the lock as ``path``, whole or not at all: a reader sees the one before or the new one.

    Raises:
        EdgePressError: as ``render_lock``.
        OSError: ``path`` cannot be written.
    """
    text = render_lock(pushed)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
