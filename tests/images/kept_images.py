"""The project's images, built once for each content and kept, for every suite that runs them.

    ${XDG_CACHE_HOME:-~/.cache}/edgepress/images/
        graph/, run/            Buildah's storage: the images, and the layers that the next build begins with
        data/, port             what a registry holds, the images as they were pushed, and where it listened then
        built/<digest>/         one build: the image lock that `make images` wrote, and the images' names
        build.log               what the newest build said
        lock                    held alone by who builds, shared by who uses

The digest is of every file that goes into the images or decides how they are built.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from Dockerfiles.build import ROOT
from tests.images.container_engine import ContainerEngine
from tests.images.debian_base import make_debian_tree
from tests.images.pip_access import lend_pip_access
from tests.images.registry import free_port, running_registry
from tests.kept_files import kept_folder, locked

BASE = "localhost/edgepress-test/debian:bookworm"
SOURCE = "https://example.com/edgepress"

MOST_BYTES_KEPT = 20_000_000_000
"""A build takes 6 GB, one that differs in EdgePress' own code alone a few MB more. Beyond this all is thrown away before a build."""

_GONE_INTO_IMAGES = ("Dockerfiles", "components", "pipelines", "constraints.txt", "pyproject.toml", "LICENSE", "README.md", ".dockerignore")
_MADE_WITH = ("tests/images/debian_base.py", "tests/images/kept_images.py")
_LAST_CHARACTERS = 6000


class ImageBuildError(Exception):
    """The images could not be built; the message ends with what the build said last."""


@dataclass(frozen=True)
class KeptImages:
    """What one build gave.

    Attributes:
        engine: that can run them.
        references: the name of each image in the engine's storage, e.g. ``edgepress/trainer``: ``localhost/edgepress/trainer:0.2.0-…``.
        lock_file: the image lock that `make images` wrote.
        lock: the lock's entry of each image.
        pushed_to: the registry's address when they were pushed, which the lock names; nothing listens there any more.
    """

    engine: ContainerEngine
    references: dict[str, str]
    lock_file: Path
    lock: dict[str, dict[str, str]]
    pushed_to: str

    @property
    def registry_data(self) -> Path:
        """What a registry is to hold, so that they can be pulled."""
        return self.engine.folder / "data"

    @contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """Run a registry that holds them; gives its address.

        Args:
            folder: for its configuration and its log.
        """
        with running_registry(folder, self.registry_data) as address:
            yield address


@contextmanager
def kept_images(report: Callable[[str], None] = lambda _: None) -> Iterator[KeptImages]:
    """The images of this checkout, built first when they are not there; they stay while the context lasts.

    Args:
        report: told in one line what takes long.

    Raises:
        ImageBuildError: they cannot be built.
    """
    folder = kept_folder("images")
    built = folder / "built" / _digest()
    if not built.is_dir():
        with locked(folder / "lock"):
            if not built.is_dir():
                report(f"Building the images: up to 10 minutes, once. They are kept in {folder}.")
                _build(folder, built)
    with locked(folder / "lock", shared=True):
        # Whoever built something else in the meantime may have thrown this away.
        if not built.is_dir():
            raise ImageBuildError(f"{built} was removed by another build, which needed its space; start again")
        yield _read(folder, built)


def _read(folder: Path, built: Path) -> KeptImages:
    lock_file = built / "lock" / "kustomization.yaml"
    entries = yaml.safe_load(lock_file.read_text())["images"]
    addresses = {entry["newName"].partition("/")[0] for entry in entries}
    return KeptImages(
        engine=ContainerEngine(folder),
        references=json.loads((built / "references.json").read_text()),
        lock_file=lock_file,
        lock={entry["name"]: entry for entry in entries},
        pushed_to=addresses.pop(),
    )


def _build(folder: Path, built: Path) -> None:
    """Run `make images PUSH=…` on a plain Debian and keep what it gives, whole or not at all."""
    _make_room(folder)
    engine = ContainerEngine(folder)
    if not engine.has(BASE):
        _make_base(engine, folder / "debian")
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    lock = unfinished / "lock" / "kustomization.yaml"
    with running_registry(unfinished, folder / "data", _port(folder)) as registry:
        variables = {
            "PYTHON": sys.executable,
            "BUILDER": "buildah",
            "BASE": BASE,
            "PUSH": f"{registry}/edgepress",
            # Buildah's own choice would be gzip, which takes minutes to write and to read.
            "PUSH_FLAGS": "--tls-verify=false --compression-format=zstd",
            "LOCK": lock,
            "SOURCE": SOURCE,
            **lend_pip_access(unfinished),
        }
        with (folder / "build.log").open("wb") as log:
            code = subprocess.run(
                ["make", "--no-print-directory", "images", *(f"{name}={value}" for name, value in variables.items())],
                cwd=ROOT,
                env={name: value for name, value in engine.environment.items() if not name.startswith("MAKE")},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
    said = (folder / "build.log").read_text(errors="replace")
    if code:
        raise ImageBuildError(f"make images ended with code {code}:\n{said[-_LAST_CHARACTERS:]}")
    tags = [line.rpartition(" ")[2] for line in said.splitlines() if line.startswith("images: [") and "building" in line]
    references = {tag.rpartition(":")[0]: f"localhost/{tag}" for tag in tags}
    (unfinished / "references.json").write_text(json.dumps(references))
    built.parent.mkdir(exist_ok=True)
    unfinished.replace(built)


def _port(folder: Path) -> int:
    """Of the registry that is pushed to: the same each time, because Buildah remembers by its address what need not be sent again."""
    kept = folder / "port"
    if not kept.exists():
        kept.write_text(str(free_port()))
    return int(kept.read_text())


def _make_base(engine: ContainerEngine, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    try:
        make_debian_tree(tree)
        engine.import_tree(tree, BASE)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _make_room(folder: Path) -> None:
    """Throw everything away when it has become too much: nobody uses it, because the builder holds the lock alone."""
    counted = subprocess.run(["du", "--summarize", "--block-size=1", folder], capture_output=True, text=True, check=False)
    if int(counted.stdout.split()[0]) > MOST_BYTES_KEPT:
        ContainerEngine(folder).remove()
        for name in ("data", "built"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _digest() -> str:
    """Of the files that a build takes and of those that it is made with."""
    digest = hashlib.sha256()
    for path in _files(ROOT / name for name in (*_GONE_INTO_IMAGES, *_MADE_WITH)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file below the paths, in a fixed order, but for what .dockerignore keeps out."""
    for path in paths:
        if path.is_dir():
            found = (inner for inner in sorted(path.rglob("*")) if inner.is_file())
            yield from (inner for inner in found if not _is_ignored(inner.relative_to(ROOT)))
        else:
            yield path


def _is_ignored(path: Path) -> bool:
    return any(
        part == "__pycache__" or part.endswith(".egg-info") or (part.startswith(".") and part.endswith("_cache")) for part in path.parts
    )
