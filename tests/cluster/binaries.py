"""The programs of a Kubernetes cluster, built from the Go module proxy at the versions of ``controlplane/go.mod`` and ``policies/go.mod``.

A program is built once for each content of its go.mod and go.sum and each version of Go, and kept outside the repository:

    ${XDG_CACHE_HOME:-~/.cache}/edgepress/controlplane/<digest>/<program>
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.kept_files import kept_folder, locked

MODULE = Path(__file__).parent / "controlplane"
_POLICIES = Path(__file__).parent / "policies"
"""Of a program that does not build with the versions of Kubernetes' own dependencies."""
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-network-policies": "sigs.k8s.io/kube-network-policies/cmd",
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
_MODULES = {"kube-network-policies": _POLICIES}
"""Programs that are not of ``MODULE``."""
BUILD_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
_OUTPUT_LINES = 15
_REASON_LENGTH = 400


class UnavailableError(Exception):
    """What the tests need cannot be had on this machine; the message is the reason in one line."""


class BuildError(Exception):
    """Go is here and has the source, but does not build it: a defect of go.mod or of this folder."""


def find_or_build(names: Iterable[str], report: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """Paths of programs, keyed like ``PACKAGES``.

    All of them take about 14 minutes of processor time where Go has compiled nothing yet; kustomize alone takes one.

    Args:
        names: keys of ``PACKAGES``.
        report: told in one line what takes long.

    Raises:
        UnavailableError: no Go, one that is too old, or no module proxy.
        BuildError: the source is here and does not build.
    """
    wanted = list(names)
    found: dict[str, Path] = {}
    for module in (MODULE, _POLICIES):
        found |= _find_or_build(module, [name for name in wanted if _MODULES.get(name, MODULE) == module], report)
    return {name: found[name] for name in wanted}


def _find_or_build(module: Path, names: list[str], report: Callable[[str], None]) -> dict[str, Path]:
    if not names:
        return {}
    go_version = _go_version(module)
    folder = kept_folder("controlplane") / _digest(module, go_version)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            report(f"Building {', '.join(missing)} with {go_version}: some minutes, once. They are kept in {folder}.")
            _fetch(module, [PACKAGES[name] for name in missing])
            for name in missing:
                _build(module, name, folder)
    return {name: folder / name for name in names}


def downloaded(module: Path, requirement: str) -> Path:
    """The folder of a module that another one requires, in Go's module cache, after checking it against go.sum.

    Args:
        module: folder of the go.mod that requires it.
        requirement: its path without a version, e.g. ``k8s.io/kubernetes``.

    Raises:
        UnavailableError: no Go, or no module proxy that serves it.
    """
    _go_version(module)
    answer = _go(module, "mod", "download", "-json", requirement)
    if answer.returncode != 0:
        problem = re.search(r'"Error": (".*")', answer.stdout)
        raise UnavailableError(_not_served(module, json.loads(problem[1]) if problem else answer.stderr))
    return Path(json.loads(answer.stdout)["Dir"])


def kubernetes_version() -> str:
    """The version of Kubernetes that go.mod requires, e.g. ``v1.36.3``."""
    required = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if required is None:
        raise BuildError(f"{MODULE / 'go.mod'} does not require k8s.io/kubernetes")
    return required[1]


def _fetch(module: Path, packages: Iterable[str]) -> None:
    """Have the source of packages and of all that they import; on its own, because without a network this is what fails."""
    listed = _go(module, "list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", *packages)
    if listed.returncode != 0:
        raise UnavailableError(_not_served(module, listed.stderr))


def _not_served(module: Path, words: str) -> str:
    return f"Go's module proxy does not serve what {module.name}/go.mod requires: {' '.join(words.split())[-_REASON_LENGTH:]}"


def _build(module: Path, name: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        built = Path(staging) / name
        result = _go(module, "build", *BUILD_FLAGS, "-ldflags", _linker_flags(), "-o", str(built), PACKAGES[name])
        if result.returncode != 0:
            raise BuildError(f"{name}: go build ended with code {result.returncode}:\n{_last_lines(result.stderr)}")
        built.replace(folder / name)


def _linker_flags() -> str:
    """No symbol tables; and the version that a release build carries, which clients read from /version."""
    version = kubernetes_version()
    major, minor, *_ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())])


def _go_version(module: Path) -> str:
    """The Go that builds a module, e.g. ``go1.26.8``. Go 1.21 and newer fetch the toolchain that a go.mod asks for."""
    if shutil.which("go") is None:
        raise UnavailableError("go is not on PATH")
    answer = _go(module, "version")
    version = re.search(r"\bgo(\d+)\.(\d+)\S*", answer.stdout)
    if answer.returncode != 0 or version is None:
        raise UnavailableError(f"go version fails: {_last_lines(answer.stderr or answer.stdout)}")
    asked = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    if asked is not None and (int(version[1]), int(version[2])) < (int(asked[1]), int(asked[2])):
        raise UnavailableError(f"{version[0]} is older than the go {asked[1]}.{asked[2]} that {module.name}/go.mod asks for")
    return version[0]


def _go(module: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    return subprocess.run(
        ["go", *arguments], cwd=module, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _digest(module: Path, go_version: str) -> str:
    parts = [(module / "go.mod").read_text(), (module / "go.sum").read_text(), go_version, *BUILD_FLAGS, _linker_flags()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_OUTPUT_LINES:])
