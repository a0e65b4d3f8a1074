"""The digest of the code that a task runs, for the keys of the local cache. On a cluster the image's digest says it.

A task's code is its step's module and every module of ``edgepress`` that it imports, directly or through others, inside functions too:
a change to the report leaves the trained models in the cache, a change to the fine-tuning loop does not. What surrounds every task (its
log, events and metrics) does not count: it sees what a task does and cannot change it, so to train again because a metric was renamed
would be a waste.
"""

import ast
import functools
import hashlib
import sys
from importlib import metadata
from pathlib import Path

import edgepress
from edgepress.device.digest import digest_file

_ROOT = Path(edgepress.__file__).parent
_AROUND_A_TASK = ("edgepress.task", "edgepress.observe", "edgepress.telemetry")
"""Modules, with all below them, that no task computes with."""

_LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy", "pydantic")
"""Libraries whose version may change what a task computes or writes."""


def code_digest(module: str) -> str:
    """Digest of the source of a module and all that it imports from ``edgepress``, of Python and of the libraries that compute.

    Raises:
        ValueError: there is no such module in ``edgepress``.
    """
    sha256 = hashlib.sha256(f"python {sys.version_info[:3]}\n".encode())
    for library in _LIBRARIES:
        sha256.update(f"{library} {_version(library)}\n".encode())
    for path in sorted(_closure(module)):
        sha256.update(f"{path.relative_to(_ROOT).as_posix()} {digest_file(path)}\n".encode())
    return f"sha256:{sha256.hexdigest()}"


def _closure(module: str) -> set[Path]:
    start = _source(module)
    if start is None:
        raise ValueError(f"{module} is not a module of edgepress")
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return found


@functools.cache
def _imports(path: Path) -> frozenset[Path]:
    """Sources of ``edgepress`` that a file imports anywhere, with the packages around them (their ``__init__`` runs too)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    names = {name for name in names if not _is_around_a_task(name)}
    packages = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    return frozenset(source for name in names | packages if (source := _source(name)) is not None)


def _is_around_a_task(module: str) -> bool:
    return any(module == around or module.startswith(f"{around}.") for around in _AROUND_A_TASK)


def _source(module: str) -> Path | None:
    package, *rest = module.split(".")
    if package != "edgepress":
        return None
    path = _ROOT.joinpath(*rest)
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "absent"
