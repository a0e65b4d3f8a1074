"""The trigger's CronJob fires, and never twice at a time: what the real controller makes of the real manifest.

The controller names a Job after the minute that it was due in, so only where a minute begins could a second one start beside the first.
To be due soon after that, the schedule is changed, and nothing else: the controller's cron library also reads ``@every 5s``.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import Installation
from tests.cluster.kubernetes_api import KubernetesApi, Manifest

SCHEDULE = "@every 5s"
MINUTE_BEGINS_WITHIN_S = 60.0
START_TIMEOUT_S = 90.0
ENDED = {"metadata": {"annotations": {"edgepress.test/exit-code": "0"}}}
"""Tells kwok that the containers of a pod end well (kwok.yaml)."""


@dataclass(frozen=True)
class CronJobs:
    """The trigger's CronJob, due every few seconds: as it is, and two variants that show what the test would see otherwise."""

    api: KubernetesApi
    forbidding: Manifest
    allowing: Manifest
    suspended: Manifest

    @property
    def jobs_path(self) -> str:
        """Of the namespace's Jobs."""
        return self.api.path("batch/v1", "Job", self.forbidding["metadata"]["namespace"])

    def jobs(self) -> list[Manifest]:
        """All Jobs that there are now."""
        items: list[Manifest] = self.api.request("GET", self.jobs_path).body["items"]
        return items


def variant(trigger: Manifest, name: str, **spec: object) -> Manifest:
    cron_job = copy.deepcopy(trigger)
    cron_job["metadata"]["name"] = name
    cron_job["spec"] |= {"schedule": SCHEDULE, **spec}
    return cron_job


@pytest.fixture
def cron_jobs(cluster: Cluster, installation: Installation) -> Iterator[CronJobs]:
    trigger = next(cron_job for cron_job in installation.of_kind("CronJob") if cron_job["metadata"]["name"] == "edgepress-trigger")
    applied = [
        cluster.api.apply(variant(trigger, "forbidding")).body,
        cluster.api.apply(variant(trigger, "allowing", concurrencyPolicy="Allow")).body,
        cluster.api.apply(variant(trigger, "suspended", suspend=True)).body,
    ]
    yield CronJobs(cluster.api, *applied)
    for cron_job in applied:
        cluster.api.request(
            "DELETE", cluster.api.path("batch/v1", "CronJob", trigger["metadata"]["namespace"], cron_job["metadata"]["name"])
        )


def started_by(cron_job: Manifest, jobs: list[Manifest]) -> list[Manifest]:
    """The Jobs of a CronJob whose pod was made, oldest first; Jobs that ended are among them."""
    uid = cron_job["metadata"]["uid"]
    own = [job for job in jobs if uid in {owner["uid"] for owner in job["metadata"].get("ownerReferences", [])}]
    return sorted((job for job in own if "startTime" in job.get("status", {})), key=lambda job: str(job["status"]["startTime"]))


def names(jobs: list[Manifest]) -> list[str]:
    return [job["metadata"]["name"] for job in jobs]


def end(cluster: Cluster, job: Manifest) -> None:
    """Have a Job end: well, or, where a real kubelet would have to run an image that exists nowhere, by deleting it."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    if not cluster.is_own:
        path = cluster.api.path("batch/v1", "Job", namespace, name)
        cluster.api.request("DELETE", path, query={"propagationPolicy": "Background"})
        return
    pods = cluster.api.path("v1", "Pod", namespace)

    def running(found: list[Manifest]) -> str | None:
        return next((pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"), None)

    pod = cluster.api.watch(pods, running, query={"labelSelector": f"batch.kubernetes.io/job-name={name}"})
    cluster.api.merge(f"{pods}/{pod}", ENDED)


def test_every_cron_job_forbids_concurrent_starts(installation: Installation) -> None:
    policies = {cron_job["metadata"]["name"]: cron_job["spec"]["concurrencyPolicy"] for cron_job in installation.of_kind("CronJob")}
    assert "edgepress-trigger" in policies
    assert set(policies.values()) == {"Forbid"}


@pytest.mark.parametrize("installation", ["production"], indirect=True)
def test_it_fires_waits_for_the_one_before_and_fires_again(cluster: Cluster, cron_jobs: CronJobs) -> None:
    api = cron_jobs.api

    # Once the one that may has started a second Job, a minute has begun in which the other one could have.
    def two_at_a_time(jobs: list[Manifest]) -> list[Manifest] | None:
        started = started_by(cron_jobs.allowing, jobs)
        return started if len(started) >= 2 else None

    _, second = api.watch(cron_jobs.jobs_path, two_at_a_time, MINUTE_BEGINS_WITHIN_S + START_TIMEOUT_S)

    def skipped_since_then(events: list[Manifest]) -> bool | None:
        times = [
            event["lastTimestamp"]
            for event in events
            if event["reason"] == "JobAlreadyActive" and event["involvedObject"].get("uid") == cron_jobs.forbidding["metadata"]["uid"]
        ]
        return True if any(time > second["metadata"]["creationTimestamp"] for time in times) else None

    api.watch(api.path("v1", "Event", second["metadata"]["namespace"]), skipped_since_then, START_TIMEOUT_S)
    alone = started_by(cron_jobs.forbidding, cron_jobs.jobs())
    assert len(alone) == 1
    assert alone[0]["status"]["active"] == 1
    assert started_by(cron_jobs.suspended, cron_jobs.jobs()) == []

    end(cluster, alone[0])

    def another(jobs: list[Manifest]) -> Manifest | None:
        return next((job for job in started_by(cron_jobs.forbidding, jobs) if job["metadata"]["name"] not in names(alone)), None)

    assert api.watch(cron_jobs.jobs_path, another, START_TIMEOUT_S)["status"]["active"] == 1
