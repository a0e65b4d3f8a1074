"""constraints.txt pins the whole closure of every extra, and no tracked file names an index."""

import importlib.metadata
import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_tree import ROOT

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PINS: dict[str, str] = {
    canonicalize_name(name): version
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for name, _, version in [line.partition("==")]
}
PYTHONS = ("3.11", "3.12", "3.13")


def applies(requirement: Requirement, extras: set[str], python: str) -> bool:
    if requirement.marker is None:
        return True
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras | {""})


def closure(python: str) -> dict[str, list[Requirement]]:
    """What every package of the closure is asked to be, by name, on Linux and the given Python."""
    asked: dict[str, list[Requirement]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for requirements in EXTRAS.values() for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        asked.setdefault(name, []).append(requirement)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if applies(needed, set(requirement.extras), python):
                waiting.append(needed)
    return asked


@pytest.mark.parametrize("python", PYTHONS)
def test_the_closure_is_pinned_whole_and_within_what_each_package_asks(python: str) -> None:
    asked = closure(python)
    assert set(asked) - set(PINS) == set(), "needed by an extra, but not pinned; renew with `make constraints`"
    assert set(PINS) - set(asked) == set(), "pinned, but needed by no extra; renew with `make constraints`"
    unmet = [str(need) for name, needs in asked.items() for need in needs if not need.specifier.contains(PINS[name], prereleases=True)]
    assert unmet == []


def test_pins_are_sorted_and_exact() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(lines, key=str.lower)
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_no_tracked_file_names_a_package_index() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there are no tracked files to read")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    # Written in parts, so that this file does not name one either.
    hosts = ["pypi" + ".org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url", "--find" + "-links"]
    pattern = re.compile("|".join(map(re.escape, hosts)).encode())
    paths = [ROOT / name for name in listed.split("\0") if name]
    assert [str(path) for path in paths if path.is_file() and pattern.search(path.read_bytes())] == []
