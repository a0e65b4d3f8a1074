"""The trigger's CronJob and the receiver at their work: the manifests as they are, the images as they are built, on a node that runs them.

The object store is the manifests' own. Behind `ml-pipeline` is the stand-in for Kubeflow Pipelines. Policies are enforced all the while.
"""

import copy
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.kubernetes_api import Manifest
from tests.cluster.node.installed_locally import NAMESPACE, WAIT_S, LocalInstallation
from tests.cluster.node.node_under_test import NodeUnderTest
from tests.cluster.node.workloads import log_of

ALERT = Path(__file__).parents[2] / "unit" / "receiver_payloads" / "alertmanager_firing.json"


def newest_run(installed: LocalInstallation) -> str:
    """The identifier of the run that was started last; it is in progress, unless a test ended it."""
    installed.first_run()
    return str(max(installed.kfp.state.runs.values(), key=lambda run: str(run["created_at"]))["run_id"])


@pytest.fixture
def installed(node: NodeUnderTest, installed_locally: LocalInstallation) -> LocalInstallation:
    return installed_locally


@pytest.fixture
def fired(installed: LocalInstallation) -> Iterator[Callable[[], str]]:
    """Has the CronJob fire once, by its schedule; gives what its pod wrote."""
    api, path = installed.api, installed.api.path("batch/v1", "CronJob", NAMESPACE, "edgepress-trigger")

    def fire() -> str:
        soon = copy.deepcopy(installed.cron_job)
        soon["spec"] |= {"schedule": "@every 3s"}  # the controller's cron library reads that too
        before = {pod["metadata"]["name"] for pod in installed.pods_of("edgepress-trigger")}
        api.apply(soon)

        def ended(pods: list[Manifest]) -> Manifest | None:
            new = [pod for pod in pods if pod["metadata"]["name"] not in before]
            if new:
                api.merge(path, {"spec": {"suspend": True}})
            return next((pod for pod in new if pod["status"]["phase"] in ("Succeeded", "Failed")), None)

        query = {"labelSelector": "app.kubernetes.io/name=edgepress-trigger"}
        pod = api.watch(f"/api/v1/namespaces/{NAMESPACE}/pods", ended, WAIT_S, query)
        said = log_of(api, NAMESPACE, pod["metadata"]["name"])
        assert pod["status"]["phase"] == "Succeeded", said
        return said

    yield fire
    api.request("DELETE", path, query={"propagationPolicy": "Background"})


def test_every_workload_of_the_overlay_comes_up(installed: LocalInstallation) -> None:
    for kind, names in {"Deployment": ["edgepress-receiver", "edgepress-pushgateway"], "StatefulSet": ["edgepress-seaweedfs"]}.items():

        def available(found: list[Manifest], names: list[str] = names) -> bool | None:
            ready = {item["metadata"]["name"] for item in found if item.get("status", {}).get("readyReplicas", 0) >= 1}
            return True if ready >= set(names) else None

        installed.api.watch(installed.api.path("apps/v1", kind, NAMESPACE), available, WAIT_S)


def test_the_receiver_starts_the_first_run_by_itself(installed: LocalInstallation) -> None:
    run = installed.first_run()
    assert installed.await_value(lambda: f"started run {run['run_id']}" in installed.receiver_log())
    assert f"system:serviceaccount:{NAMESPACE}:edgepress-receiver" in installed.tokens.users


def test_what_it_started_would_run_the_images_of_the_lock(installed: LocalInstallation) -> None:
    spec = installed.kfp.state.specs[installed.first_run()["pipeline_version_reference"]["pipeline_version_id"]]
    named = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    of_the_lock = {f"{entry['newName']}@{entry['digest']}" for entry in installed.node.images.lock.values()}
    assert named <= of_the_lock
    assert len(named) == 3


def test_the_cron_job_starts_no_second_run_while_one_is_in_progress(installed: LocalInstallation, fired: Callable[[], str]) -> None:
    before = newest_run(installed)
    assert f"nothing to do: run {before} is in progress" in fired()
    assert newest_run(installed) == before
    assert f"system:serviceaccount:{NAMESPACE}:edgepress-trigger" in installed.tokens.users


def test_the_cron_job_starts_a_run_when_one_is_due_and_pushes_its_figures(installed: LocalInstallation, fired: Callable[[], str]) -> None:
    before = newest_run(installed)
    installed.kfp.state.set_state(before, "FAILED")  # as one does whose pods were lost: one more is due
    said = fired()
    assert newest_run(installed) != before
    assert f"started run {newest_run(installed)}" in said
    with urllib.request.urlopen(f"http://{installed.address_of('edgepress-pushgateway')}:9091/metrics", timeout=10) as answer:
        assert "edgepress_trigger_" in answer.read().decode()


def test_an_event_makes_the_receiver_look_again(installed: LocalInstallation) -> None:
    before = newest_run(installed)
    installed.kfp.state.set_state(before, "FAILED")
    url = f"http://{installed.address_of('edgepress-receiver')}:8080/events/alertmanager"
    headers = {"Authorization": f"Bearer {installed.receiver_token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, ALERT.read_bytes(), headers), timeout=10) as answer:
        assert answer.status == 202
    assert installed.await_value(lambda: newest_run(installed) != before)
    assert installed.await_value(lambda: f"started run {newest_run(installed)}" in installed.receiver_log())


def test_their_claims_are_in_the_manifests_store(installed: LocalInstallation) -> None:
    store = installed.store()
    installed.first_run()
    keys = [item["Key"] for item in store.list_objects_v2(Bucket="edgepress")["Contents"]]
    assert [key for key in keys if key.startswith("pipelines/claims/digits/")], json.dumps(keys)
