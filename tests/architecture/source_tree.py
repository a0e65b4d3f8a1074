"""What the tests of this folder read from the source: its files, and who imports what."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = (ROOT / "components", ROOT / "pipelines")
OWN_PACKAGES = ("edgepress", "edgepress_pipelines")
STARTER = ROOT / "pipelines" / "edgepress_pipelines" / "starter"
"""A project that `edgepress init` copies out: data to the package that ships it, not a part of its code."""


@dataclass(frozen=True)
class Module:
    """A module of EdgePress.

    Attributes:
        name: dotted, e.g. ``edgepress.gate.step``.
        path: of its file.
        imports: dotted names that it imports anywhere, also inside functions. ``from a import b`` gives ``a`` and ``a.b``.
    """

    name: str
    path: Path
    imports: frozenset[str]


def read_modules() -> dict[str, Module]:
    """Every module of both source roots by its name."""
    modules = {}
    for root in SOURCE_ROOTS:
        for path in sorted(root.rglob("*.py")):
            if STARTER in path.parents:
                continue
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules[name] = Module(name=name, path=path, imports=imported_names(path))
    return modules


def imported_names(path: Path) -> frozenset[str]:
    """Dotted names that a Python file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def circles(imports: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Groups of modules of which each reaches each other one by imports.

    Args:
        imports: module -> dotted names that it imports; those that are no module of the mapping count for nothing.
    """
    reached = {name: _reachable(name, imports) for name in imports}
    groups = {frozenset({other for other in reached[name] if name in reached[other]}) for name in imports if name in reached[name]}
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, imports: Mapping[str, frozenset[str]]) -> set[str]:
    """The modules that importing ``start`` leads to; ``start`` itself only when something leads back to it."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = (imports[waiting.pop()] & imports.keys()) - found
        found |= new
        waiting += new
    return found


def is_own(name: str) -> bool:
    """Whether a dotted name lies in EdgePress."""
    return name.partition(".")[0] in OWN_PACKAGES


def step_rooms(modules: dict[str, Module]) -> list[str]:
    """Names of the packages that hold a pipeline step, which its KFP declaration tells."""
    return sorted(name.removesuffix(".component") for name in modules if name.endswith(".component"))
