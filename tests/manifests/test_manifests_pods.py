"""Every pod stays within Pod Security ``restricted`` and this project's own, stricter rules."""

import re
from typing import Any

import pytest

from tests.manifests.rendered import OVERLAYS, containers, of_kind, pod_templates, render

BY_DIGEST = re.compile(r"^[a-z0-9.:/-]+@sha256:[0-9a-f]{64}$")
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
MODES = ("enforce", "warn", "audit")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_is_restricted(overlay: str) -> None:
    namespaces = of_kind(render(overlay), "Namespace")
    assert {namespace["metadata"]["name"] for namespace in namespaces} >= {"edgepress"}
    for namespace in namespaces:
        labels = namespace["metadata"]["labels"]
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in MODES} == {"restricted"}


def test_a_profile_s_namespace_gets_labels_of_pod_security_alone() -> None:
    """Any other is the profile controller's; Kubeflow's policies admit pods by it."""
    (labels,) = [
        namespace["metadata"]["labels"]
        for namespace in of_kind(render("production"), "Namespace")
        if namespace["metadata"]["name"] == "edgepress-runs"
    ]
    assert set(labels) == {f"pod-security.kubernetes.io/{mode}" for mode in MODES}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_restricted(overlay: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a root filesystem that cannot be written."""
    templates = list(pod_templates(render(overlay)))
    assert len(templates) >= 3
    for name, template in templates:
        spec, context = template["spec"], template["spec"]["securityContext"]
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] == context["runAsGroup"] == 65532, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, name
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_can_write_to_tmp_and_to_no_volume_without_a_limit(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        temporary = {volume["name"]: volume["emptyDir"] for volume in template["spec"]["volumes"] if "emptyDir" in volume}
        assert all("sizeLimit" in volume for volume in temporary.values()), name
        for container in containers(template):
            assert any(mount["mountPath"] == "/tmp" and mount["name"] in temporary for mount in container["volumeMounts"]), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_states_what_it_needs(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        for container in containers(template):
            for kind in ("requests", "limits"):
                assert set(container["resources"][kind]) >= {"cpu", "memory"}, f"{name} {kind}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_server_is_probed(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        if name.startswith("CronJob"):
            continue
        for container in containers(template):
            assert {"livenessProbe", "readinessProbe"} <= set(container), name


def test_every_image_of_production_is_pinned_by_digest() -> None:
    for name, template in pod_templates(render("production")):
        for container in containers(template):
            assert BY_DIGEST.match(container["image"]), f"{name}: {container['image']}"


def test_every_image_of_ours_is_pinned_by_the_lock() -> None:
    for overlay in OVERLAYS:
        images = {container["image"] for _, template in pod_templates(render(overlay)) for container in containers(template)}
        ours = {image for image in images if "edgepress" in image}
        assert ours, overlay
        assert all(BY_DIGEST.match(image) for image in ours), ours


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_is_given_a_credential_as_text(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        for container in containers(template):
            for variable in container.get("env", []):
                assert "valueFrom" in variable or not re.search("KEY|TOKEN|SECRET|PASSWORD", variable["name"]), (
                    f"{name}: {variable['name']}"
                )


def test_the_trigger_never_overlaps_and_always_ends() -> None:
    (cron_job,) = of_kind(render("production"), "CronJob")
    spec: dict[str, Any] = cron_job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["startingDeadlineSeconds"] >= 10, "below 10 s the controller may never start it"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 15 * 60, "ends before it is due again"
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
