"""One pipeline more, and another: what the folder ``pipelines/example`` makes of the trigger when it is copied as its comment says."""

import re
import shutil
from pathlib import Path

import pytest

from tests.manifests.rendered import OVERLAYS, Manifest, build, copy_manifests, named, objects_in, of_kind, render

ADDED = ("microphone", "vibration")


@pytest.fixture(params=OVERLAYS)
def added_to(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Manifest], list[Manifest]]:
    """An overlay's objects, and the same overlay's with two pipelines more."""
    overlay: str = request.param
    copy = copy_manifests(tmp_path)
    kustomization = copy / "overlays" / overlay / "kustomization.yaml"
    for name in ADDED:
        folder = shutil.copytree(copy / "pipelines" / "example", copy / "pipelines" / name)
        (folder / "config.yaml").write_text(f"name: {name}\n")
        (folder / "kustomization.yaml").write_text((folder / "kustomization.yaml").read_text().replace("example", name))
        kustomization.write_text(kustomization.read_text().replace("  - ../../base\n", f"  - ../../base\n  - ../../pipelines/{name}\n"))
    built = build(copy / "overlays" / overlay)
    assert built.returncode == 0, built.stderr
    return render(overlay), objects_in(built.stdout)


def config_of(cron_job: Manifest) -> Manifest:
    """The volume's source of a trigger's configuration; the rest of the object is left without it."""
    volumes = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    config_map: Manifest = next(volume for volume in volumes if volume["name"] == "config").pop("configMap")
    return config_map


def test_each_pipeline_has_a_trigger_like_the_first_with_its_own_configuration(added_to: tuple[list[Manifest], list[Manifest]]) -> None:
    before, after = added_to
    (first,) = of_kind(before, "CronJob")
    config_of(first)
    triggers = {cron_job["metadata"]["name"]: cron_job for cron_job in of_kind(after, "CronJob")}
    assert set(triggers) == {"edgepress-trigger", *(f"edgepress-trigger-{name}" for name in ADDED)}
    for name in ADDED:
        trigger = triggers[f"edgepress-trigger-{name}"]
        config = config_of(trigger)["name"]
        assert re.fullmatch(rf"edgepress-config-{name}-[a-z0-9]{{10}}", config)
        (holder,) = [manifest for manifest in of_kind(after, "ConfigMap") if manifest["metadata"]["name"] == config]
        assert holder["data"] == {"config.yaml": f"name: {name}\n"}
        assert holder["metadata"]["namespace"] == "edgepress"
        # The same labels, so that policies mean it; the same account, image, lock, secrets and settings.
        assert trigger["metadata"] | {"name": "edgepress-trigger"} == first["metadata"]
        assert trigger["spec"] == first["spec"]


def test_nothing_else_is_added_or_changed(added_to: tuple[list[Manifest], list[Manifest]]) -> None:
    before, after = added_to
    own = {name for name in map(named, after) if any(pipeline in name for pipeline in ADDED)}
    assert len(own) == 2 * len(ADDED)
    assert [manifest for manifest in after if named(manifest) not in own] == before
