"""The container tools that can build and push: docker, podman and buildah, behind one interface."""

import json
import platform
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgepress.errors import EdgePressError, InputError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What container tools call the machines that Python names."""


@dataclass(frozen=True)
class Recipe:
    """What an image is built from.

    Attributes:
        dockerfile: the file with its instructions; the context is the working directory.
        arguments: build arguments by name.
        secrets: files by id that commands of the build may read, and no layer keeps.
        platforms: e.g. ``linux/arm64``; empty for this machine's own. Several make one index of images.
    """

    dockerfile: Path
    arguments: Mapping[str, str]
    secrets: Mapping[str, Path] = field(default_factory=dict)
    platforms: Sequence[str] = ()

    @property
    def is_index(self) -> bool:
        """Whether the result is an index of several images."""
        return len(self.platforms) > 1


class Builder(ABC):
    """One container tool, by the name of its command.

    Args:
        build_flags, push_flags: options for the tool's own build and push, added as they are.
    """

    name: str

    def __init__(self, build_flags: Sequence[str] = (), push_flags: Sequence[str] = ()) -> None:
        self.build_flags = build_flags
        self.push_flags = push_flags

    def build(self, image: str, recipe: Recipe) -> None:
        """Build ``image`` (a name with its tag). The tool's output goes where this process's goes.

        Raises:
            EdgePressError: the tool could not.
        """
        arguments = [part for name, value in recipe.arguments.items() for part in ("--build-arg", f"{name}={value}")]
        secrets = [part for name, path in recipe.secrets.items() for part in ("--secret", f"id={name},src={path}")]
        platforms = ["--platform", ",".join(recipe.platforms)] if recipe.platforms else []
        self._run(
            "build",
            *self._target(image, is_index=recipe.is_index),
            *platforms,
            *arguments,
            *secrets,
            *self.build_flags,
            "-f",
            recipe.dockerfile,
            ".",
        )

    @abstractmethod
    def push(self, image: str, repository: str, tag: str, *, is_index: bool) -> str:
        """Push what was built as ``image`` to ``repository:tag``, and give the digest under which the registry holds it.

        Args:
            is_index: it was built for several platforms.

        Raises:
            EdgePressError: the tool could not.
        """

    def unusable_because(self) -> str | None:
        """Why the tool cannot be used here, in a few words; None when it can."""
        if shutil.which(self.name) is None:
            return "is not installed"
        probe = subprocess.run([self.name, "version"], capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        if probe.returncode == 0:
            return None
        lines = [line for line in probe.stderr.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"ends with code {probe.returncode} when asked for its version"

    def _target(self, image: str, *, is_index: bool) -> list[str]:  # noqa: ARG002 - docker calls both the same
        """Options of build that say what the result is called."""
        return ["-t", image]

    def _run(self, *arguments: str | Path) -> None:
        code = subprocess.run([self.name, *arguments], check=False).returncode  # noqa: S603 - no shell
        if code:
            raise EdgePressError(f"{self.name} {arguments[0]} ended with code {code}; what it says above is why")

    def _capture(self, *arguments: str | Path) -> str:
        finished = subprocess.run([self.name, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        if finished.returncode:
            said = " ".join(finished.stderr.split()) or "it says nothing"
            raise EdgePressError(f"{self.name} {arguments[0]} ended with code {finished.returncode}: {said}")
        return finished.stdout


class Docker(Builder):
    """Docker with BuildKit. An index of several platforms needs its containerd image store, the default since Docker 29."""

    name = "docker"

    def push(self, image: str, repository: str, tag: str, *, is_index: bool) -> str:  # noqa: ARG002 - docker pushes both the same way
        """Docker records what the registry answered to a push among the image's RepoDigests."""
        self._run("tag", image, f"{repository}:{tag}")
        self._run("push", *self.push_flags, f"{repository}:{tag}")
        recorded: list[str] = (
            json.loads(self._capture("image", "inspect", "--format", "{{json .RepoDigests}}", f"{repository}:{tag}")) or []
        )
        digests = {digest for name, _, digest in (entry.partition("@") for entry in recorded) if name == repository}
        if len(digests) != 1:
            raise EdgePressError(f"docker names {len(digests)} digests of {repository}, not one, after pushing it: {sorted(digests)}")
        return digests.pop()


class Podman(Builder):
    """Podman, which hands over the digest of what it pushed in a file; so does Buildah, which shares its code for images."""

    name = "podman"
    layers: Sequence[str] = ()

    def build(self, image: str, recipe: Recipe) -> None:
        """As every builder; a list of images by this name, which a build would add to, is removed first.

        Buildah 1.28 knows BUILDPLATFORM inside of a stage, but not yet where the stage begins, so it is told.
        """
        if recipe.platforms:
            here = f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
            recipe = replace(recipe, arguments={"BUILDPLATFORM": here, **recipe.arguments})
        if recipe.is_index:
            subprocess.run([self.name, "manifest", "rm", image], capture_output=True, check=False)  # noqa: S603 - no shell
        super().build(image, recipe)

    def push(self, image: str, repository: str, tag: str, *, is_index: bool) -> str:
        """Push, and read the digest from the tool's file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            command = ["manifest", "push", "--all"] if is_index else ["push"]
            self._run(*command, "--digestfile", file, *self.push_flags, image, f"docker://{repository}:{tag}")
            return file.read_text().strip()

    def _target(self, image: str, *, is_index: bool) -> list[str]:
        return [*self.layers, "--manifest" if is_index else "-t", image]


class Buildah(Podman):
    """Buildah, which reuses layers of earlier builds only when asked to."""

    name = "buildah"
    layers = ("--layers",)


BUILDERS: Mapping[str, type[Builder]] = {builder.name: builder for builder in (Docker, Podman, Buildah)}
"""In the order in which they are looked for."""


def choose_builder(name: str | None, build_flags: Sequence[str] = (), push_flags: Sequence[str] = ()) -> Builder:
    """The builder called ``name``, or the first one that can be used here.

    Raises:
        InputError: there is no builder of that name, or it cannot be used here.
        EdgePressError: none can be used here.
    """
    if name is not None and name not in BUILDERS:
        raise InputError(f"BUILDER={name} is not one of {', '.join(BUILDERS)}")
    reasons = {}
    for candidate in [name] if name is not None else BUILDERS:
        builder = BUILDERS[candidate](build_flags, push_flags)
        reason = builder.unusable_because()
        if reason is None:
            return builder
        reasons[candidate] = reason
    if name is not None:
        raise InputError(f"BUILDER={name} cannot be used here: {name} {reasons[name]}")
    told = "; ".join(f"{candidate} {reason}" for candidate, reason in reasons.items())
    raise EdgePressError(f"building images takes docker, podman or buildah, and none can be used here: {told}")
