"""Both overlays render to their golden files, refer only to what exists, and cannot be built without an image lock."""

import os
import re
from pathlib import Path

import pytest

from edgepress_pipelines.config.file import load_config
from tests.manifests.rendered import GOLDENS, MANIFESTS, OVERLAYS, build, copy_manifests, named, of_kind, pod_templates, render, render_text

UPDATE_VARIABLE = "EDGEPRESS_UPDATE_GOLDENS"
MADE_BY_HAND = {"edgepress-s3", "edgepress-receiver-token"}
"""Secrets that manifests/README.md says how to create; none is in the tree."""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_the_golden_one(overlay: str) -> None:
    text, golden = render_text(overlay), GOLDENS / f"{overlay}.yaml"
    if os.environ.get(UPDATE_VARIABLE):
        golden.write_text(text)
    assert text == golden.read_text(), f"{overlay} renders differently; if it should, run `make manifests` and read the difference"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_without_an_image_lock_cannot_be_built(overlay: str, tmp_path: Path) -> None:
    copy = copy_manifests(tmp_path)
    (copy / "images" / "lock").rename(copy / "images" / "elsewhere")
    built = build(copy / "overlays" / overlay)
    assert built.returncode != 0
    assert "images/lock" in built.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_object_is_there_twice(overlay: str) -> None:
    names = [named(manifest) for manifest in render(overlay)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_configuration_of_an_overlay_is_valid(overlay: str) -> None:
    config = load_config(MANIFESTS / "overlays" / overlay / "config.yaml")
    assert config.resources.kubeflow.storage_uri is not None, "without it a run keeps nothing that outlives its pods"
    assert config.release.uri is not None


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_mounted_config_map_and_secret_exists_or_is_made_by_hand(overlay: str) -> None:
    manifests = render(overlay)
    config_maps = {f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}" for manifest in of_kind(manifests, "ConfigMap")}
    for name, template in pod_templates(manifests):
        text = str(template)
        for reference in re.findall(r"'configMap(?:KeyRef)?': \{[^}]*'name': '([^']+)'", text):
            assert f"{template['namespace']}/{reference}" in config_maps, f"{name} refers to a ConfigMap {reference} that is not there"
        for reference in re.findall(r"'secretKeyRef': \{[^}]*'name': '([^']+)'|'secretName': '([^']+)'", text):
            assert set(filter(None, reference)) <= MADE_BY_HAND, f"{name} refers to a Secret that the README says nothing of"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_know_the_configuration_by_a_name_that_changes_with_it(overlay: str) -> None:
    """So that a changed configuration restarts the receiver."""
    names = {manifest["metadata"]["name"] for manifest in of_kind(render(overlay), "ConfigMap")}
    for stem in ("edgepress-config", "edgepress-image-lock"):
        assert any(re.fullmatch(stem + r"-[a-z0-9]{10}", name) for name in names), names
