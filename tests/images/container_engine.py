"""Buildah and Podman on a storage of their own, so that a test neither sees nor leaves images of this machine."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
"""Within what any container host allows: where these may not be raised, Podman's own defaults are refused."""

RESTRICTED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")
"""What Pod Security's `restricted` and a read-only root leave a container."""


@dataclass(frozen=True)
class ContainerEngine:
    """The container tools on the storage in ``folder``."""

    folder: Path

    def __post_init__(self) -> None:
        paths = f'runroot = "{self.folder}/run"\ngraphroot = "{self.folder}/graph"'
        self._configuration.write_text(f'[storage]\ndriver = "overlay"\n{paths}\n')

    @property
    def _configuration(self) -> Path:
        return self.folder / "storage.conf"

    @property
    def environment(self) -> dict[str, str]:
        """With which buildah and podman use the storage; ``chroot`` is the isolation that needs no container runtime to build."""
        return {**os.environ, "CONTAINERS_STORAGE_CONF": str(self._configuration), "BUILDAH_ISOLATION": "chroot"}

    def import_tree(self, tree: Path, name: str) -> None:
        """Make the directory ``tree`` an image of one layer."""
        with subprocess.Popen(["tar", "--numeric-owner", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE) as archive:
            command = ["podman", "import", "--quiet", "-", name]
            finished = subprocess.run(command, stdin=archive.stdout, env=self.environment, capture_output=True, text=True, check=False)
        assert archive.returncode == 0
        assert finished.returncode == 0, finished.stderr

    def has(self, image: str) -> bool:
        """Whether the storage holds an image."""
        return subprocess.run(["podman", "image", "exists", image], env=self.environment, check=False).returncode == 0

    def inspect(self, image: str) -> dict[str, Any]:
        """What Podman knows of an image."""
        found: list[dict[str, Any]] = json.loads(self.podman("image", "inspect", image))
        return found[0]

    def try_run(
        self,
        image: str,
        command: Sequence[str],
        *,
        data: Path | None = None,
        network: str = "none",
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a restricted container and give how it ended.

        Args:
            data: a directory that the container has as /data.
            network: ``none``, or ``host`` for what must reach this machine's loopback.
            environment: further variables.
            user: None is the image's own.
        """
        options = ["--rm", "--runtime", "runc", *LIMITS, *RESTRICTED, "--network", network]
        options += ["--volume", f"{data}:/data"] if data is not None else []
        options += ["--user", user] if user is not None else []
        options += [f"--env={name}={value}" for name, value in (environment or {}).items()]
        return subprocess.run(
            ["podman", "run", *options, image, *command], env=self.environment, capture_output=True, text=True, check=False
        )

    def run(self, image: str, *command: str, **options: Any) -> str:
        """As ``try_run``, of a command that must succeed; gives what it printed."""
        finished = self.try_run(image, command, **options)
        assert finished.returncode == 0, f"{image}: {command}\n{finished.stdout[-3000:]}\n{finished.stderr[-6000:]}"
        return finished.stdout

    def remove(self) -> None:
        """Remove every image of this storage, 5 GB that pytest would keep until the third run from now. Networks are not its own."""
        self.buildah("rm", "--all")
        self.podman("image", "umount", "--all", "--force")
        self.podman("rmi", "--all", "--force")

    def podman(self, *arguments: str) -> str:
        """What a command of Podman prints; it must succeed."""
        return self._checked("podman", *arguments)

    def buildah(self, *arguments: str) -> str:
        """What a command of Buildah prints; it must succeed."""
        return self._checked("buildah", *arguments)

    def _checked(self, *command: str) -> str:
        finished = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, f"{command}\n{finished.stderr}"
        return finished.stdout
