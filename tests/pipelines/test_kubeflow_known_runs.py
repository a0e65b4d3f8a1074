"""What the trigger takes each run for that Kubeflow knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.kubeflow.runs.submit import submit_run
from edgepress_pipelines.trigger.decision import KnownRun
from edgepress_pipelines.trigger.known_runs import FINGERPRINT_PARAMETER, list_known_runs
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_project import connect, package_of, read_config


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


def start(kfp: KfpServer, folder: Path) -> str:
    config = read_config(folder)
    return submit_run(config, connect(kfp), package_of(config)).run_id


def known(kfp: KfpServer, folder: Path) -> list[KnownRun]:
    given = Fingerprint.from_parameter(str(package_of(read_config(folder)).parameters[FINGERPRINT_PARAMETER]))
    assert given is not None
    return list_known_runs(connect(kfp), given)


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
