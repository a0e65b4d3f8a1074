"""`make images` with container tools that only write down what they are asked; the real ones are under test in tests/images."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from Dockerfiles.lock import PushedImage, write_lock
from edgepress.errors import EdgePressError
from edgepress.images import AGENT, IMAGES

ROOT = Path(__file__).parents[2]
PREFIX = "registry.example.com:5000/team"
SHORT_NAMES = [image.removeprefix("edgepress/") for image in IMAGES]

TOOL = """#!{python}
import hashlib, json, os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
with open("{calls}", "a") as file:
    file.write(json.dumps([name, *arguments]) + "\\n")
if name in os.environ.get("UNUSABLE", "").split(",") and arguments == ["version"]:
    sys.exit("warning: something\\nno daemon answers")
if os.environ.get("FAILING") and os.environ["FAILING"] in " ".join(arguments):
    sys.exit("refused")
digest = "sha256:" + hashlib.sha256(arguments[-1].removeprefix("docker://").encode()).hexdigest()
if "--digestfile" in arguments:
    open(arguments[arguments.index("--digestfile") + 1], "w").write(digest + "\\n")
if arguments[:2] == ["image", "inspect"]:
    others = ["elsewhere.example.com/trainer@sha256:" + "0" * 64]
    print(json.dumps(others + [arguments[-1].rpartition(":")[0] + "@" + digest] * (not os.environ.get("FORGETFUL"))))
"""


class Desk:
    """A folder with recording tools on an otherwise empty PATH."""

    def __init__(self, folder: Path, tools: tuple[str, ...]) -> None:
        self.calls_file = folder / "calls"
        self.lock = folder / "lock" / "kustomization.yaml"
        self.bin = folder / "bin"
        self.bin.mkdir()
        git = folder / "bin" / "git"
        git.write_text('#!/bin/sh\ncase "$*" in *rev-parse*) echo 0123456789abcdef0123456789abcdef01234567 ;; esac\n')
        git.chmod(0o755)
        for tool in tools:
            path = self.bin / tool
            path.write_text(TOOL.format(python=sys.executable, calls=self.calls_file))
            path.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "Dockerfiles.build", "--lock", str(self.lock), *arguments],
            cwd=ROOT,
            env={"PATH": str(self.bin), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "components")]), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, command: str) -> list[list[str]]:
        """Arguments of the calls of one command, e.g. ``podman build``."""
        words = command.split()
        recorded = [json.loads(line) for line in self.calls_file.read_text().splitlines()] if self.calls_file.exists() else []
        return [call[len(words) :] for call in recorded if call[: len(words)] == words]


def failed_with(finished: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error, after checking that it is one and has the code."""
    assert finished.returncode == code, finished
    (line,) = [line for line in finished.stderr.splitlines() if line != "refused"]
    assert line.startswith("edgepress: error: ")
    return line.removeprefix("edgepress: error: ")


def test_the_first_tool_that_can_be_used_builds_every_image(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("docker", "podman", "buildah"))
    finished = desk.run(UNUSABLE="docker")
    assert finished.returncode == 0, finished.stderr
    assert desk.calls("docker build") == []
    built = [call[call.index("-t") + 1] for call in desk.calls("podman build")]
    tag = "0.1.0-0123456789ab"
    assert built == [f"edgepress/python:{tag}", *(f"{image}:{tag}" for image in IMAGES)]
    assert "[5/5] building edgepress/agent" in finished.stdout
    assert not desk.lock.exists()


def test_images_are_built_on_the_prepared_base_and_labelled(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("docker",))
    assert desk.run("--base", "base.example.com/python:3.12", "--image", "releaser", "--source", "https://example.com/x").returncode == 0
    python, releaser = desk.calls("docker build")
    assert "BASE=base.example.com/python:3.12" in python
    assert releaser[-3:] == ["-f", "Dockerfiles/releaser.Dockerfile", "."]
    arguments = {value for option, value in pairwise(releaser) if option == "--build-arg"}
    assert arguments == {
        "BASE=edgepress/python:0.1.0-0123456789ab",
        "VERSION=0.1.0",
        "REVISION=0123456789abcdef0123456789abcdef01234567",
        "LICENSES=Apache-2.0",
        "SOURCE=https://example.com/x",
    }


def test_the_agent_for_other_machines_is_built_on_the_base_itself_and_pushed_as_an_index(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("podman",))
    platforms = "linux/amd64,linux/arm64"
    assert desk.run("--base", "b.example.com/python:3.12", "--push", PREFIX, "--agent-platforms", platforms).returncode == 0
    agent = desk.calls("podman build")[-1]
    assert agent[:4] == ["--manifest", f"{AGENT}:0.1.0-0123456789ab", "--platform", platforms]
    assert "BASE=b.example.com/python:3.12" in agent
    assert len(desk.calls("podman push")) == 4
    ((*options, destination),) = desk.calls("podman manifest push")
    assert options[0] == "--all"
    assert destination == f"docker://{PREFIX}/agent:0.1.0-0123456789ab"


def test_secrets_and_further_options_reach_the_tool(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("buildah",))
    configuration = tmp_path / "pip.conf"
    configuration.touch()
    assert desk.run("--image", "agent", "--pip-conf", str(configuration), "--build-flags", "--isolation chroot").returncode == 0
    python, agent = desk.calls("buildah build")
    assert python[0] == agent[0] == "--layers"
    assert f"id=pip.conf,src={configuration}" in agent
    assert ["--isolation", "chroot"] == agent[-5:-3] == python[-5:-3]


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah"])
def test_the_lock_holds_the_digests_that_the_tool_was_told(tmp_path: Path, tool: str) -> None:
    desk = Desk(tmp_path, (tool,))
    finished = desk.run("--push", PREFIX)
    assert finished.returncode == 0, finished.stderr
    lock = yaml.safe_load(desk.lock.read_text())
    assert (lock["apiVersion"], lock["kind"]) == ("kustomize.config.k8s.io/v1alpha1", "Component")
    assert [image["name"] for image in lock["images"]] == list(IMAGES)
    assert [image["newName"] for image in lock["images"]] == [f"{PREFIX}/{name}" for name in SHORT_NAMES]
    assert len({image["digest"] for image in lock["images"]}) == len(IMAGES)
    assert list(desk.lock.parent.iterdir()) == [desk.lock]


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah"])
def test_a_push_that_ends_halfway_leaves_the_lock_as_it_was(tmp_path: Path, tool: str) -> None:
    desk = Desk(tmp_path, (tool,))
    desk.lock.parent.mkdir()
    desk.lock.write_text("the one before")
    message = failed_with(desk.run("--push", PREFIX, FAILING=f"{PREFIX}/controller"), 1)
    assert message.startswith(f"{tool} ")
    assert desk.lock.read_text() == "the one before"
    assert list(desk.lock.parent.iterdir()) == [desk.lock]


def test_an_image_that_cannot_be_built_ends_everything(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("podman",))
    message = failed_with(desk.run("--push", PREFIX, FAILING="releaser.Dockerfile"), 1)
    assert message == "podman build ended with code 1; what it says above is why"
    assert desk.calls("podman push") == []
    assert not desk.lock.exists()


def test_docker_that_does_not_know_the_digest_is_no_reason_to_invent_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("docker",))
    assert "0 digests" in failed_with(desk.run("--push", PREFIX, FORGETFUL="1"), 1)
    assert not desk.lock.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--builder", "kaniko"], "BUILDER=kaniko is not one of docker, podman, buildah"),
        (["--builder", "podman"], "BUILDER=podman cannot be used here: podman is not installed"),
        (["--image", "trainr"], "IMAGES: trainr is not one of trainer, evaluator, releaser, controller, agent"),
        (["--push", "https://registry.example.com/team"], "PUSH=https://registry.example.com/team is not a registry"),
        (["--push", "team"], "PUSH=team is not a registry"),
        (["--push", "registry.example.com/Team"], "in small letters"),
        (["--push", PREFIX, "--image", "agent"], "IMAGES: a push is of all images"),
        (["--agent-platforms", "linux/arm/v7"], "AGENT_PLATFORMS: linux/arm/v7 is neither"),
        (["--pip-conf", "/nowhere/pip.conf"], "/nowhere/pip.conf: there is no such file"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line_before_anything_is_built(tmp_path: Path, arguments: list[str], told: str) -> None:
    desk = Desk(tmp_path, ("docker",))
    assert told in failed_with(desk.run(*arguments), 2)
    assert desk.calls("docker build") == []


def test_without_a_usable_tool_every_reason_is_told(tmp_path: Path) -> None:
    message = failed_with(Desk(tmp_path, ("docker",)).run(UNUSABLE="docker"), 1)
    assert message.endswith("docker no daemon answers; podman is not installed; buildah is not installed")


def test_a_lock_is_never_of_some_images_or_of_what_is_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "lock.yaml"
    whole = {image: PushedImage(f"{PREFIX}/x", "sha256:" + "a" * 64) for image in IMAGES}
    with pytest.raises(EdgePressError, match="edgepress/agent was not pushed"):
        write_lock(path, {image: pushed for image, pushed in whole.items() if image != AGENT})
    with pytest.raises(EdgePressError, match="'sha256:' is not a digest"):
        write_lock(path, whole | {AGENT: PushedImage(f"{PREFIX}/agent", "sha256:")})
    assert list(tmp_path.iterdir()) == []
