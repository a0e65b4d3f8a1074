"""Each image has one Dockerfile and one extra of the same name, and all Dockerfiles are one text."""

import re
import tomllib

import pytest
import yaml

from Dockerfiles.build import DEFAULT_BASE, LOCK
from Dockerfiles.lock import PushedImage, render_lock
from edgepress.images import IMAGES
from tests.architecture.source_tree import ROOT

FOLDER = ROOT / "Dockerfiles"
NAMES = [image.removeprefix("edgepress/") for image in IMAGES]
TEXTS = {name: (FOLDER / f"{name}.Dockerfile").read_text() for name in NAMES}
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
EXAMPLE_LOCK = LOCK.parents[1] / "lock.example" / LOCK.name


def instructions(text: str) -> list[tuple[str, str]]:
    """Name and arguments of each instruction, lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined]


def test_every_image_has_a_dockerfile_and_an_extra() -> None:
    assert {path.name for path in FOLDER.glob("*.Dockerfile")} == {f"{name}.Dockerfile" for name in NAMES}
    assert set(NAMES) <= set(EXTRAS)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_installs_its_extra_and_no_other(name: str) -> None:
    assert re.findall(r"environment\.py packages (.*)", TEXTS[name]) == [name]


@pytest.mark.parametrize("name", NAMES)
def test_the_dockerfiles_differ_in_the_extra_and_in_what_they_say_of_it_alone(name: str) -> None:
    def neutral(text: str, own_name: str) -> list[tuple[str, str]]:
        without_description = re.sub(r'(image\.description=)"[^"]*"', r"\1", text)
        return instructions(re.sub(rf"(edgepress/|packages ){own_name}\b", r"\1NAME", without_description))

    assert neutral(TEXTS[name], name) == neutral(TEXTS[NAMES[0]], NAMES[0])


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_based_on_what_is_asked_for_and_runs_as_a_numeric_user_that_is_not_root(name: str) -> None:
    found = instructions(TEXTS[name])
    assert ("ARG", f"BASE={DEFAULT_BASE}") in found
    assert "latest" not in TEXTS[name]
    stages = [arguments for instruction, arguments in found if instruction == "FROM"]
    assert stages == ["--platform=$BUILDPLATFORM ${BASE} AS packages", "packages AS project", "--platform=$TARGETPLATFORM ${BASE}"]
    assert [arguments for instruction, arguments in found if instruction == "USER"] == ["65532:65532"]


@pytest.mark.parametrize("name", NAMES)
def test_the_last_stage_runs_nothing_so_it_can_be_of_another_machine(name: str) -> None:
    found = instructions(TEXTS[name])
    last = max(index for index, (instruction, _) in enumerate(found) if instruction == "FROM")
    assert {instruction for instruction, _ in found[last:]} <= {"FROM", "COPY", "ENV", "WORKDIR", "USER", "CMD", "ARG", "LABEL"}


def test_the_build_is_given_nothing_but_what_it_names() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = {
        source
        for text in TEXTS.values()
        for instruction, arguments in instructions(text)
        if instruction == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    }
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {source if source in allowed else source.rpartition("/")[0] for source in copied} == allowed


def test_the_example_of_the_lock_has_the_form_that_a_push_writes() -> None:
    example = yaml.safe_load(EXAMPLE_LOCK.read_text())
    pushed = {image["name"]: PushedImage(image["newName"], image["digest"]) for image in example["images"]}
    assert yaml.safe_load(render_lock(pushed)) == example


def test_the_digests_of_the_example_are_plainly_of_nothing() -> None:
    digests = [image["digest"] for image in yaml.safe_load(EXAMPLE_LOCK.read_text())["images"]]
    assert [digest for digest in digests if len(set(digest.removeprefix("sha256:"))) > 1] == []
    assert len(set(digests)) == len(IMAGES)
