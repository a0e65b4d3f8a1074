"""Build the images, and push them on request: what `make images` runs, with any Python 3.11 or newer and no other package.

    python -m Dockerfiles.build [--image NAME]... [--push REGISTRY/PREFIX]

A push is of all images together. When the last one has arrived, and only then, the image lock names what was pushed.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from Dockerfiles.builders import Builder, Recipe, choose_builder
from Dockerfiles.lock import PushedImage, write_lock
from edgepress.errors import EXIT_DONE, EXIT_FAILED, EdgePressError, InputError
from edgepress.images import AGENT, IMAGES

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "manifests" / "images" / "lock" / "kustomization.yaml"
DEFAULT_BASE = "docker.io/library/python:3.11-slim-bookworm"
PYTHON_IMAGE = "edgepress/python"
"""The base with Python and without pip, under all images of this machine's own platform."""

MODIFIED = "-modified"

_SHORT_NAMES = {image.rpartition("/")[2]: image for image in IMAGES}
_PUSH = re.compile(r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_PLATFORM = re.compile(r"linux/(amd64|arm64)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and push when asked to. Gives the exit code: 0 done, 2 an argument is wrong, 1 anything else."""
    options = _parser().parse_args(arguments)
    try:
        builder = choose_builder(options.builder or None, shlex.split(options.build_flags), shlex.split(options.push_flags))
        build_and_push(builder, options)
    except EdgePressError as error:
        print(f"edgepress: error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"edgepress: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_DONE


def build_and_push(builder: Builder, options: argparse.Namespace) -> None:
    """Build what ``options`` name with ``builder``, tagged by the version and the commit.

    Raises:
        InputError: an option is wrong; nothing was built.
        EdgePressError: the builder failed. An image lock that was there before still is.
    """
    images = _chosen_images(options.image)
    prefix = _push_prefix(options.push, images)
    platforms = _platforms(options.agent_platforms)
    secrets = _secrets({"pip.conf": options.pip_conf, "ca.crt": options.ca_bundle})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    revision = _revision()
    # A tag of its own for each commit: a registry that discards what has no tag keeps what an older image lock names.
    tag = "-".join(filter(None, [project["version"], revision[:12], "modified" if revision.endswith(MODIFIED) else ""]))
    labels = {"VERSION": project["version"], "REVISION": revision, "LICENSES": project["license"], "SOURCE": options.source}

    _say(f"with {builder.name}, on {options.base}")
    python = f"{PYTHON_IMAGE}:{tag}"
    if any(not (image == AGENT and platforms) for image in images):
        builder.build(python, Recipe(dockerfile=Path("Dockerfiles/base/python.Dockerfile"), arguments={"BASE": options.base}))
    for number, image in enumerate(images, start=1):
        _say(f"[{number}/{len(images)}] building {image}:{tag}")
        # Beyond this machine's own platform no command can be run in the base, so Python must be in it.
        crossed = platforms if image == AGENT else ()
        arguments = {"BASE": options.base if crossed else python, **labels}
        dockerfile = Path("Dockerfiles") / f"{image.rpartition('/')[2]}.Dockerfile"
        builder.build(f"{image}:{tag}", Recipe(dockerfile=dockerfile, arguments=arguments, secrets=secrets, platforms=crossed))
    if prefix is not None:
        _push(builder, prefix, tag, options.lock, agent_is_index=len(platforms) > 1)


def _push(builder: Builder, prefix: str, tag: str, lock: Path, *, agent_is_index: bool) -> None:
    pushed: dict[str, PushedImage] = {}
    for number, image in enumerate(IMAGES, start=1):
        repository = f"{prefix}/{image.rpartition('/')[2]}"
        _say(f"[{number}/{len(IMAGES)}] pushing {repository}:{tag}")
        digest = builder.push(f"{image}:{tag}", repository, tag, is_index=image == AGENT and agent_is_index)
        pushed[image] = PushedImage(repository, digest)
    write_lock(lock, pushed)
    for image in IMAGES:
        _say(f"{pushed[image].repository}@{pushed[image].digest}")
    _say(f"{lock} names them for kustomize and edgepress")


def _chosen_images(names: Sequence[str]) -> tuple[str, ...]:
    unknown = next((name for name in names if name not in _SHORT_NAMES), None)
    if unknown is not None:
        raise InputError(f"IMAGES: {unknown} is not one of {', '.join(_SHORT_NAMES)}")
    return tuple(image for name, image in _SHORT_NAMES.items() if name in names) or IMAGES


def _push_prefix(push: str, images: Sequence[str]) -> str | None:
    if not push:
        return None
    if not _PUSH.fullmatch(push):
        raise InputError(f"PUSH={push} is not a registry and a path in small letters, such as registry.example.com/team")
    if set(images) != set(IMAGES):
        raise InputError("IMAGES: a push is of all images, because the image lock names them together; leave IMAGES out, or PUSH")
    return push


def _platforms(text: str) -> tuple[str, ...]:
    platforms = tuple(part for part in text.split(",") if part)
    unknown = next((platform for platform in platforms if not _PLATFORM.fullmatch(platform)), None)
    if unknown is not None:
        raise InputError(f"AGENT_PLATFORMS: {unknown} is neither linux/amd64 nor linux/arm64")
    return platforms


def _secrets(files: dict[str, Path | None]) -> dict[str, Path]:
    given = {name: path.absolute() for name, path in files.items() if path is not None}
    missing = next((path for path in given.values() if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"{missing}: there is no such file to hand to the build")
    return given


def _revision() -> str:
    """The commit that is built, with MODIFIED behind it when files differ from it; empty outside of a git checkout."""
    # A checkout that lies unpacked in another one is not a commit of that one.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)}

    def git(*arguments: str) -> str | None:
        command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *arguments]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        return finished.stdout.strip() if finished.returncode == 0 else None

    commit = git("rev-parse", "HEAD") if shutil.which("git") else None
    if commit is None:
        return ""
    return commit + (MODIFIED if git("status", "--porcelain") else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make images", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builder", default="", help="docker, podman or buildah; left out, the first that can be used")
    parser.add_argument("--base", default=DEFAULT_BASE, help="the image under all: has Python 3.11 to 3.13, or apt and such a python3")
    parser.add_argument("--image", action="append", default=[], metavar="NAME", help=f"{', '.join(_SHORT_NAMES)}; may be repeated")
    parser.add_argument("--push", default="", metavar="REGISTRY/PREFIX", help="push all images there, then write the image lock")
    parser.add_argument("--lock", type=Path, default=LOCK, help="the image lock to write")
    parser.add_argument("--agent-platforms", default="", metavar="P,P", help="of the agent: linux/amd64,linux/arm64")
    parser.add_argument("--source", default="", metavar="URL", help="the label org.opencontainers.image.source")
    parser.add_argument("--pip-conf", type=Path, metavar="FILE", help="pip's configuration during the build")
    parser.add_argument("--ca-bundle", type=Path, metavar="FILE", help="certificates that pip trusts during the build")
    parser.add_argument("--build-flags", default="", help="further options of the builder's build")
    parser.add_argument("--push-flags", default="", help="further options of the builder's push")
    return parser


def _say(text: str) -> None:
    print(f"images: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
