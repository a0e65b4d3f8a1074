"""The trigger's CronJob fires, and never twice at a time: what the real controller makes of the real manifest.

The schedule is the one thing changed, to one that needs no minute of waiting: the controller's cron library also reads ``@every 2s``.
"""

import copy

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import Installation
from tests.cluster.kubernetes_api import KubernetesApi, Manifest

EVERY_S = 2
SKIPPED_STARTS = 2
ENDED = {"metadata": {"annotations": {"edgepress.test/exit-code": "0"}}}
"""Tells kwok that the containers of a pod end well (kwok.yaml)."""


@pytest.fixture
def trigger(cluster: Cluster, installation: Installation) -> Manifest:
    """The CronJob of the overlay, under another name, and due every two seconds."""
    cron_job = copy.deepcopy(next(m for m in installation.of_kind("CronJob") if m["metadata"]["name"] == "edgepress-trigger"))
    cron_job["metadata"]["name"] = "frequent-trigger"
    cron_job["spec"]["schedule"] = f"@every {EVERY_S}s"
    return cron_job


def jobs_of(cron_job: Manifest, jobs: list[Manifest]) -> list[Manifest]:
    """The Jobs that a CronJob started, oldest first."""
    own = [job for job in jobs if any(owner["uid"] == cron_job["metadata"]["uid"] for owner in job["metadata"].get("ownerReferences", []))]
    return sorted(own, key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]))


def await_job(api: KubernetesApi, cron_job: Manifest, after: tuple[str, ...] = ()) -> Manifest:
    """The first Job of a CronJob that is not among those named, once its pod was made."""

    def started(jobs: list[Manifest]) -> Manifest | None:
        new = [job for job in jobs_of(cron_job, jobs) if job["metadata"]["name"] not in after]
        return new[0] if new and new[0].get("status", {}).get("active") == 1 else None

    return api.watch(api.path("batch/v1", "Job", cron_job["metadata"]["namespace"]), started)


def await_skipped_starts(api: KubernetesApi, cron_job: Manifest, wanted: int) -> None:
    """Until the controller has said that often that it did not start a Job because one was active."""

    def skipped(events: list[Manifest]) -> bool | None:
        counts = [
            event.get("count") or 1
            for event in events
            if event["reason"] == "JobAlreadyActive" and event["involvedObject"].get("uid") == cron_job["metadata"]["uid"]
        ]
        return True if sum(counts) >= wanted else None

    api.watch(api.path("v1", "Event", cron_job["metadata"]["namespace"]), skipped)


def end(cluster: Cluster, job: Manifest) -> None:
    """Have a Job end well; where a real kubelet cannot run its image, by deleting it."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    job_path = cluster.api.path("batch/v1", "Job", namespace, name)
    if not cluster.is_own:
        cluster.api.request("DELETE", job_path, query={"propagationPolicy": "Background"})
        return
    pods = cluster.api.path("v1", "Pod", namespace)
    query = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}

    def running(found: list[Manifest]) -> str | None:
        return next((pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"), None)

    cluster.api.merge(f"{pods}/{cluster.api.watch(pods, running, query=query)}", ENDED)

    def complete(jobs: list[Manifest]) -> bool | None:
        status = next(item["status"] for item in jobs if item["metadata"]["name"] == name)
        return True if any(c["type"] == "Complete" and c["status"] == "True" for c in status.get("conditions", [])) else None

    cluster.api.watch(cluster.api.path("batch/v1", "Job", namespace), complete)


def test_the_manifests_forbid_concurrent_starts(installation: Installation) -> None:
    policies = {cron_job["metadata"]["name"]: cron_job["spec"]["concurrencyPolicy"] for cron_job in installation.of_kind("CronJob")}
    assert policies.pop("edgepress-trigger") == "Forbid"
    assert set(policies.values()) <= {"Forbid"}


def test_it_fires_waits_for_the_one_before_and_fires_again(cluster: Cluster, trigger: Manifest) -> None:
    api = cluster.api
    cron_job = api.apply(trigger).body
    jobs_path = api.path("batch/v1", "Job", cron_job["metadata"]["namespace"])
    try:
        first = await_job(api, cron_job)
        await_skipped_starts(api, cron_job, SKIPPED_STARTS)
        alone = jobs_of(cron_job, api.request("GET", jobs_path).body["items"])
        assert [job["metadata"]["name"] for job in alone] == [first["metadata"]["name"]]
        end(cluster, first)
        second = await_job(api, cron_job, after=(first["metadata"]["name"],))
        assert second["metadata"]["labels"] == first["metadata"]["labels"] | {
            key: value for key, value in second["metadata"]["labels"].items() if "job-name" in key or "controller-uid" in key
        }
    finally:
        api.request("DELETE", api.path("batch/v1", "CronJob", cron_job["metadata"]["namespace"], cron_job["metadata"]["name"]))


def test_the_controller_would_start_a_second_one_if_it_were_allowed(cluster: Cluster, trigger: Manifest) -> None:
    """What the test above would see if Forbid were not honoured: the same CronJob with Allow."""
    api = cluster.api
    trigger["metadata"]["name"] = "careless-trigger"
    trigger["spec"]["concurrencyPolicy"] = "Allow"
    cron_job = api.apply(trigger).body
    try:

        def two_active(jobs: list[Manifest]) -> bool | None:
            return True if sum(job.get("status", {}).get("active", 0) for job in jobs_of(cron_job, jobs)) >= 2 else None

        api.watch(api.path("batch/v1", "Job", cron_job["metadata"]["namespace"]), two_active)
    finally:
        api.request("DELETE", api.path("batch/v1", "CronJob", cron_job["metadata"]["namespace"], cron_job["metadata"]["name"]))


def test_a_suspended_one_does_not_fire(cluster: Cluster, trigger: Manifest) -> None:
    """Watched for as long as another one fires twice."""
    api = cluster.api
    other = copy.deepcopy(trigger)
    other["metadata"]["name"] = "other-trigger"
    other["spec"]["concurrencyPolicy"] = "Allow"
    trigger["metadata"]["name"] = "suspended-trigger"
    trigger["spec"]["suspend"] = True
    suspended, firing = api.apply(trigger).body, api.apply(other).body
    jobs_path = api.path("batch/v1", "Job", firing["metadata"]["namespace"])
    try:
        api.watch(jobs_path, lambda jobs: True if len(jobs_of(firing, jobs)) >= 2 else None)
        assert jobs_of(suspended, api.request("GET", jobs_path).body["items"]) == []
    finally:
        for cron_job in (suspended, firing):
            api.request("DELETE", api.path("batch/v1", "CronJob", cron_job["metadata"]["namespace"], cron_job["metadata"]["name"]))
