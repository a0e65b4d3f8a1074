"""What the trigger takes each run for that Kubeflow knows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.runs.submit import submit_run
from edgepress_pipelines.trigger.decision import KnownRun, RunState
from edgepress_pipelines.trigger.known_runs import FINGERPRINT_PARAMETER, list_known_runs
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import RunOnCluster, connect, package_of, read_config

TIMEOUT = timedelta(hours=4)
REPORTING = timedelta(hours=1)
UNSCHEDULED = timedelta(hours=24)


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


def start(kfp: KfpServer, folder: Path) -> str:
    config = read_config(folder)
    package = package_of(config)
    parameters: Any = package.parameters | {"context": f'{{"name": "digits", "storage": "{folder / "store"}"}}'}
    return submit_run(config, connect(kfp), Package(pipeline=package.pipeline, parameters=parameters)).run_id


def known(kfp: KfpServer, folder: Path, at: datetime | None = None) -> list[KnownRun]:
    given = Fingerprint.from_parameter(str(package_of(read_config(folder)).parameters[FINGERPRINT_PARAMETER]))
    assert given is not None
    return list_known_runs(connect(kfp), given, TIMEOUT, at)


def clock(kfp: KfpServer) -> datetime:
    return datetime.strptime(kfp.state.now(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def test_a_run_that_fails_after_it_was_terminated_was_stopped(kfp: KfpServer, tmp_path: Path) -> None:
    failed, stopped, finished = (start(kfp, tmp_path) for _ in range(3))
    for run_id in (failed, stopped, finished):
        kfp.state.set_state(run_id, "RUNNING")
    kfp.state.set_state(failed, "FAILED")
    connect(kfp).runs.run_service_terminate_run(stopped)
    assert {run.run_id: run.state for run in known(kfp, tmp_path)}[stopped] == "active", "its pods may still write"
    kfp.state.set_state(stopped, "FAILED")
    kfp.state.set_state(finished, "SUCCEEDED")
    assert [(run.run_id, run.state) for run in known(kfp, tmp_path)] == [
        (finished, "succeeded"),
        (stopped, "stopped"),
        (failed, "failed"),
    ]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING"])
@pytest.mark.parametrize(
    ("silence", "expected"),
    [
        (TIMEOUT, "active"),
        (TIMEOUT + REPORTING + timedelta(minutes=1), "silent"),
        (TIMEOUT + REPORTING + UNSCHEDULED - timedelta(minutes=1), "silent"),
        (TIMEOUT + REPORTING + UNSCHEDULED + timedelta(minutes=1), "failed"),
    ],
)
def test_a_run_whose_workflow_is_gone_does_not_stand_in_the_way_for_ever(
    kfp: KfpServer, tmp_path: Path, state: str, silence: timedelta, expected: RunState
) -> None:
    run_id = start(kfp, tmp_path)
    if state != "PENDING":
        kfp.state.set_state(run_id, "RUNNING")
    kfp.state.lost_workflows.add(run_id)
    if state == "CANCELING":
        connect(kfp).runs.run_service_terminate_run(run_id)
    assert kfp.only_run()["state"] == state
    assert [run.state for run in known(kfp, tmp_path, clock(kfp) + silence)] == [expected]


@pytest.mark.parametrize("sign", ["node", "event"])
def test_a_run_that_says_anything_lives(kfp: KfpServer, tmp_path: Path, sign: str) -> None:
    run_id = start(kfp, tmp_path)
    kfp.state.set_state(run_id, "RUNNING")
    later = clock(kfp) + TIMEOUT + UNSCHEDULED
    if sign == "node":
        kfp.state.set_clock(later)
        kfp.state.report_task(run_id, "train", "RUNNING")
    else:
        RunOnCluster(str(tmp_path / "store"), run_id).event("train", "baseline", "started", later.timestamp())
    assert [run.state for run in known(kfp, tmp_path, later + TIMEOUT)] == ["active"]
    assert [run.state for run in known(kfp, tmp_path, later + TIMEOUT + REPORTING + timedelta(minutes=1))] == ["silent"]
