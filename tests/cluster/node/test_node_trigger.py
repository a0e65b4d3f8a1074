"""The trigger's CronJob and the receiver at their work: the manifests as they are, the images as they are built, on a node that runs them.

The object store is the manifests' own. Behind `ml-pipeline` is the stand-in for Kubeflow Pipelines. Policies are enforced all the while.
"""

import copy
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubernetes_api import Manifest
from tests.cluster.node.installed_locally import NAMESPACE, LocalInstallation
from tests.cluster.node.node_under_test import NodeUnderTest
from tests.cluster.node.workloads import log_of

ALERT = Path(__file__).parents[2] / "unit" / "receiver_payloads" / "alertmanager_firing.json"
WAIT_S = 180.0


def await_value(installed: LocalInstallation, look: Callable[[], Any]) -> Any:
    """What ``look`` gives once it is true; the receiver's log says why it is not."""
    deadline = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s; the receiver:\n{receiver_log(installed)[-4000:]}"
        time.sleep(0.2)
    return found


def pods_of(installed: LocalInstallation, name: str) -> list[Manifest]:
    query = {"labelSelector": f"app.kubernetes.io/name={name}"}
    items: list[Manifest] = installed.api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", query=query).body["items"]
    return items


def receiver_log(installed: LocalInstallation) -> str:
    return log_of(installed.api, NAMESPACE, pods_of(installed, "edgepress-receiver")[0]["metadata"]["name"])


def fail_the_newest(installed: LocalInstallation) -> None:
    """Have the newest run fail, as a run does whose pod was lost: one more is due."""
    newest = max(installed.kfp.state.runs.values(), key=lambda run: str(run["created_at"]))
    installed.kfp.state.set_state(newest["run_id"], "FAILED")


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
        before = {pod["metadata"]["name"] for pod in pods_of(installed, "edgepress-trigger")}
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
    await_value(installed, lambda: installed.kfp.state.runs)
    run = installed.kfp.only_run()
    assert f"started run {run['run_id']}" in await_value(installed, lambda: receiver_log(installed))
    assert installed.kfp.door.tokens.users == {f"system:serviceaccount:{NAMESPACE}:edgepress-receiver"}  # type: ignore[union-attr]


def test_what_it_started_would_run_the_images_of_the_lock(installed: LocalInstallation) -> None:
    (spec,) = installed.kfp.state.specs.values()
    named = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    of_the_lock = {f"{entry['newName']}@{entry['digest']}" for entry in installed.node.images.lock.values()}
    assert named <= of_the_lock
    assert len(named) == 3


def test_the_cron_job_starts_no_second_run_while_one_is_in_progress(installed: LocalInstallation, fired: Callable[[], str]) -> None:
    run_id = installed.kfp.only_run()["run_id"]
    assert f"nothing to do: run {run_id} is in progress" in fired()
    assert len(installed.kfp.state.runs) == 1
    assert f"system:serviceaccount:{NAMESPACE}:edgepress-trigger" in installed.kfp.door.tokens.users  # type: ignore[union-attr]


def test_the_cron_job_starts_a_run_when_one_is_due_and_pushes_its_figures(installed: LocalInstallation, fired: Callable[[], str]) -> None:
    before = set(installed.kfp.state.runs)
    fail_the_newest(installed)
    said = fired()
    (started,) = set(installed.kfp.state.runs) - before
    assert f"started run {started}" in said
    with urllib.request.urlopen(f"http://{installed.address_of('edgepress-pushgateway')}:9091/metrics", timeout=10) as answer:
        assert "edgepress_trigger_" in answer.read().decode()


def test_an_event_makes_the_receiver_look_again(installed: LocalInstallation) -> None:
    before = set(installed.kfp.state.runs)
    fail_the_newest(installed)
    url = f"http://{installed.address_of('edgepress-receiver')}:8080/events/alertmanager"
    headers = {"Authorization": f"Bearer {installed.receiver_token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, ALERT.read_bytes(), headers), timeout=10) as answer:
        assert answer.status == 202
    (started,) = await_value(installed, lambda: set(installed.kfp.state.runs) - before)
    assert f"started run {started}" in await_value(installed, lambda: receiver_log(installed))


def test_their_claims_are_in_the_manifests_store(installed: LocalInstallation) -> None:
    store = installed.store()
    keys = [item["Key"] for item in store.list_objects_v2(Bucket="edgepress")["Contents"]]
    assert [key for key in keys if key.startswith("pipelines/claims/digits/")], json.dumps(keys)
