"""The agent's image for a machine that is not the one that builds it: no command of that machine is ever run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from Dockerfiles.build import ROOT
from edgepress.images import AGENT
from tests.images.container_engine import ContainerEngine
from tests.images.debian_base import RELEASE, debian_mirror
from tests.images.pip_access import lend_pip_access
from tests.images.registry import running_registry

pytestmark = pytest.mark.timeout(1500)

ELF_MACHINES = {"amd64": 62, "arm64": 183}
"""e_machine in the header of a program or library (System V ABI, chapter 4)."""

DEBIAN_VARIANTS = {"amd64": "minbase", "arm64": "extract"}
"""Packages of the other machine are unpacked; configuring them would run their programs."""


def elf_machines(folder: Path) -> set[int]:
    """The machines of all programs and libraries below a folder."""
    machines = set()
    for directory, _, names in os.walk(folder):
        for path in (Path(directory) / name for name in names):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    header = file.read(20)
                if header.startswith(b"\x7fELF"):
                    machines.add(int.from_bytes(header[18:20], "little"))
    return machines


def push_base(engine: ContainerEngine, folder: Path, name: str) -> None:
    """Push a Debian with Python for both machines as ``name``."""
    engine.buildah("manifest", "create", name)
    for machine, variant in DEBIAN_VARIANTS.items():
        archive = folder / f"{machine}.tar"
        command = ["mmdebstrap", "--quiet", f"--variant={variant}", f"--architectures={machine}", "--include=ca-certificates,python3"]
        subprocess.run([*command, RELEASE, str(archive), debian_mirror()], check=True, capture_output=True)
        engine.podman("import", "--quiet", "--os", "linux", "--arch", machine, str(archive), f"localhost/debian-{machine}:test")
        engine.buildah("manifest", "add", "--arch", machine, name, f"containers-storage:localhost/debian-{machine}:test")
    engine.buildah("manifest", "push", "--all", "--tls-verify=false", name, f"docker://{name}")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the other machine is arm64 here")
def test_the_agent_for_arm64_is_of_arm64_throughout(tmp_path: Path) -> None:
    engine = ContainerEngine(tmp_path)
    try:
        with running_registry(tmp_path) as registry:
            push_base(engine, tmp_path, f"{registry}/debian:test")
            lent = lend_pip_access(tmp_path)
            options = ["--builder", "buildah", "--base", f"{registry}/debian:test", "--image", "agent"]
            options += [
                "--agent-platforms",
                "linux/amd64,linux/arm64",
                "--build-flags=--tls-verify=false",
                "--pip-conf",
                str(lent["PIP_CONF"]),
            ]
            options += ["--ca-bundle", str(lent["CA_BUNDLE"])] if "CA_BUNDLE" in lent else []
            environment = {**engine.environment, "PYTHONPATH": str(ROOT / "components")}
            made = subprocess.run(
                [sys.executable, "-m", "Dockerfiles.build", *options], cwd=ROOT, env=environment, capture_output=True, text=True
            )
            assert made.returncode == 0, made.stdout[-6000:] + made.stderr[-6000:]
            (tag,) = {line.rpartition(" ")[2] for line in made.stdout.splitlines() if f"building {AGENT}" in line}
            pushed = f"{registry}/{AGENT}:test"
            engine.buildah("manifest", "push", "--all", "--tls-verify=false", f"localhost/{tag}", f"docker://{pushed}")
            for machine, number in ELF_MACHINES.items():
                image = engine.podman("pull", "--quiet", "--tls-verify=false", "--arch", machine, pushed).split()[-1]
                assert json.loads(engine.podman("image", "inspect", image))[0]["Architecture"] == machine
                root = Path(engine.podman("image", "mount", image).strip())
                site_packages = root / "opt" / "venv" / "lib" / "python3.11" / "site-packages"
                assert {path.name for path in site_packages.iterdir()} >= {"ai_edge_litert", "edgepress", "numpy", "tuf"}
                assert elf_machines(site_packages) == elf_machines(root / "usr") == {number}
                engine.podman("image", "umount", image)
    finally:
        engine.remove()
