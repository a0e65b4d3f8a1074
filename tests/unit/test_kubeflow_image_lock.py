"""The image lock: what kustomize reads too, each image by digest, and every way it can fail to be that, in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.errors import EXIT_WRONG_INPUT, InputError
from edgepress_pipelines.kubeflow.image_lock import read_image_lock

EXAMPLE = Path(__file__).parents[2] / "manifests" / "images" / "lock.example" / "kustomization.yaml"


def lock() -> dict[str, Any]:
    content = yaml.safe_load(EXAMPLE.read_text())
    assert isinstance(content, dict)
    return content


def write(folder: Path, content: object) -> Path:
    path = folder / "kustomization.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image_lock(path)
    assert caught.value.exit_code == EXIT_WRONG_INPUT
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_the_example_gives_every_image_by_digest() -> None:
    read = read_image_lock(EXAMPLE)
    assert read.reference("edgepress/trainer") == f"registry.example.com/edgepress/trainer@sha256:{'1' * 64}"
    assert set(read.digests) == {f"edgepress/{name}" for name in ("trainer", "evaluator", "releaser", "controller", "agent")}


def test_an_image_that_the_lock_does_not_name_is_refused() -> None:
    with pytest.raises(InputError, match="has no image edgepress/other; `make images PUSH=registry/prefix` writes it"):
        read_image_lock(EXAMPLE).reference("edgepress/other")


@pytest.mark.parametrize(
    "repository", ["localhost:5000/edgepress/trainer", "registry.example.com/a/b_c/d--e/trainer", "ghcr.io/me/trainer"]
)
def test_repositories_with_a_port_and_deep_paths(repository: str, tmp_path: Path) -> None:
    content = lock()
    content["images"][0]["newName"] = repository
    assert read_image_lock(write(tmp_path, content)).reference("edgepress/trainer") == f"{repository}@sha256:{'1' * 64}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": None, "newTag": "v1"}, "kustomization.yaml: images.0: has the tag 'v1', but a tag can be moved to another image"),
        ({"digest": None}, "kustomization.yaml: images.0: must have exactly the keys name, newName and digest, differs in digest"),
        ({"digest": f"sha256:{'1' * 63}"}, "kustomization.yaml: images.0: digest must be sha256: and 64 hex digits, is the text 'sha256:1"),
        ({"digest": f"sha256:{'A' * 64}"}, "kustomization.yaml: images.0: digest must be sha256: and 64 hex digits"),
        ({"digest": 7}, "kustomization.yaml: images.0: digest must be sha256: and 64 hex digits, is 7"),
        ({"newName": "registry.example.com/edgepress/trainer:v1"}, "kustomization.yaml: images.0: newName must be a repository such as"),
        ({"newName": "trainer"}, "kustomization.yaml: images.0: newName must be a repository such as"),
        ({"name": "edgepress/evaluator"}, "kustomization.yaml: images.1: edgepress/evaluator stands here a second time"),
        ({"name": "edgepress/other"}, "kustomization.yaml: has no image edgepress/trainer; `make images PUSH=registry/prefix` writes it"),
        ({"name": ""}, "kustomization.yaml: images.0: name must be text"),
    ],
)
def test_an_entry_that_pins_nothing_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = lock()
    content["images"][0] = {key: value for key, value in {**content["images"][0], **change}.items() if value is not None}
    assert refusal(write(tmp_path, content)).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "kustomization.yaml: is not an image lock, a kustomize Component with a list of images"),
        ("- a", "kustomization.yaml: is not an image lock"),
        ("kind: Kustomization\nimages: []", "kustomization.yaml: is not an image lock"),
        ("kind: Component\nimages: {}", "kustomization.yaml: is not an image lock"),
        ("kind: Component\nimages: [a]", "kustomization.yaml: images.0: must be a mapping with name, newName and digest, is the text 'a'"),
        ("kind: Component\nimages: []", "kustomization.yaml: has no image edgepress/trainer"),
        ("images: [", "kustomization.yaml:1:10: broken YAML"),
    ],
)
def test_a_file_that_is_no_lock_is_refused(content: str, message: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, content)).startswith(message)


def test_a_lock_that_is_absent_or_unreadable_is_refused(tmp_path: Path) -> None:
    expected = (
        "none.yaml: there is no image lock, and tasks run only in images pinned by digest; `make images PUSH=registry/prefix` writes it"
    )
    assert refusal(tmp_path / "none.yaml") == expected
    (tmp_path / "folder").mkdir()
    assert "the image lock cannot be read (Is a directory)" in refusal(tmp_path / "folder")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    assert "the image lock cannot be read (not UTF-8 text)" in refusal(tmp_path / "bytes.yaml")
