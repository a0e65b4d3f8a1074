"""The overlays as the real kustomize builds them, and the programs that the tests of this folder need.

The image lock is written by a build of images alone, so the committed example stands in its place: a copy of the manifests is built.
"""

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.binaries import UnavailableError, find_or_build

Manifest = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("local", "production")
GOLDENS = Path(__file__).parent / "goldens"
NOT_RUN = "manifest tests: NOT RUN"


@functools.cache
def kustomize() -> Path:
    """The program, built from the Go module proxy once and kept; where that cannot be, the test is skipped and the summary says why."""
    try:
        return find_or_build(["kustomize"])["kustomize"]
    except UnavailableError as error:
        pytest.skip(f"{NOT_RUN} ({error})")


def promtool(*arguments: str | Path, standard_input: str = "") -> "subprocess.CompletedProcess[str]":
    """Run Prometheus' own checker, of Debian's package ``prometheus``; where it is not installed, the test is skipped, likewise."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(f"{NOT_RUN} (promtool is not on PATH; apt-get install prometheus)")
    return subprocess.run([program, *arguments], input=standard_input, capture_output=True, text=True, check=False)


def copy_manifests(folder: Path) -> Path:
    """A copy of the manifests in a folder, with the example as its image lock."""
    copy = shutil.copytree(MANIFESTS, folder / "manifests", ignore=shutil.ignore_patterns("lock"))
    shutil.copytree(copy / "images" / "lock.example", copy / "images" / "lock")
    return copy


def build(kustomization: Path) -> "subprocess.CompletedProcess[str]":
    """``kustomize build`` of a folder."""
    return subprocess.run([kustomize(), "build", kustomization], capture_output=True, text=True, check=False)


@functools.cache
def render_text(overlay: str) -> str:
    """What ``kustomize build`` prints for an overlay."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(copy_manifests(Path(folder)) / "overlays" / overlay)
    assert built.returncode == 0, built.stderr
    return built.stdout


def render(overlay: str) -> list[Manifest]:
    """Every object of an overlay."""
    return objects_in(render_text(overlay))


def objects_in(text: str) -> list[Manifest]:
    """Every object of a YAML stream."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest is not None]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifest: Manifest) -> str:
    """Kind, namespace and name, for messages and for looking up."""
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def pod_templates(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Each workload's name and the template of its pods."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec
        if isinstance(spec, dict) and "template" in spec:
            yield named(manifest), spec["template"] | {"namespace": manifest["metadata"]["namespace"]}


def containers(template: Manifest) -> list[Manifest]:
    """All containers of a pod, those that run first included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
