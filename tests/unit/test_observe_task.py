"""A task under observation, in a process of its own as an engine starts it: locally, and on a cluster with a real object store."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.run import RunContext
from edgepress.contracts.task_event import TaskEvent
from edgepress.observe.task_record import RECORD_TIMEOUT_S
from edgepress.storage import ObjectStore, open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.unit.broken_servers import closed_port, swallowing_server

PROGRAM = """
import ctypes, sys, time
from edgepress import telemetry
from edgepress.errors import StageError
from edgepress.task import enter_run, task, tell_candidate_failed, tell_figure

@task("prune")
def prune(*, recipe, how):
    print("the step prints")
    ctypes.CDLL(None).puts(b'{"a library": "prints"}')
    tell_figure(telemetry.TASK_VALIDATION["accuracy"], 0.75)
    if how == "candidate fails":
        tell_candidate_failed("it diverged")
    if how == "fails":
        raise StageError("the data is gone")
    if how == "is wrong":
        raise RuntimeError("a defect")

enter_run(sys.argv[1])
started = time.monotonic()
try:
    prune(recipe="int8", how=sys.argv[2])
finally:
    print("it took", time.monotonic() - started)
"""

RUN_ID = "0c2e-4a"


def run_task(how: str, environment: Mapping[str, str], storage: str) -> "subprocess.CompletedProcess[str]":
    context = RunContext(name="digits", storage=storage).model_dump_json()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EDGEPRESS_"))}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, context, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={**inherited, "AWS_EC2_METADATA_DISABLED": "true", **environment},
    )


def json_lines(output: str) -> list[dict[str, Any]]:
    """Our own lines; a step's and a library's stay as they are."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line for line in lines if "level" in line]


def took_s(finished: "subprocess.CompletedProcess[str]") -> float:
    [line] = [line for line in finished.stdout.splitlines() if line.startswith("it took")]
    return float(line.split()[-1])


@pytest.fixture
def bucket(server: EmbeddedStore, request: pytest.FixtureRequest) -> tuple[str, ObjectStore, dict[str, str]]:
    """The URI of a bucket for this test, the bucket itself, and a pod's environment to use it with."""
    uri = f"s3://{request.node.name.replace('_', '-').partition('[')[0][:40].strip('-')}/a/prefix"
    opened, _ = open_store(uri)
    return uri, opened, {**server.environment, "EDGEPRESS_RUN_ID": RUN_ID}


def test_on_a_cluster_events_and_log_are_in_the_store(bucket: tuple[str, ObjectStore, dict[str, str]]) -> None:
    uri, store, environment = bucket
    before = time.time()
    finished = run_task("candidate fails", environment, uri)
    assert finished.returncode == 0, finished.stdout
    folder = f"a/prefix/runs/{RUN_ID}"
    first, second, log_key = store.list_keys()
    began = re.fullmatch(rf"{folder}/events/prune\.int8\.(\d+)\.started\.json", first)
    assert began is not None
    assert second == f"{folder}/events/prune.int8.{began[1]}.succeeded.json"
    assert log_key == f"{folder}/logs/prune.int8.log"
    assert before <= int(began[1]) / 1000 + 0.001
    started, succeeded = (TaskEvent.model_validate_json(store.get_bytes(key)) for key in (first, second))
    assert (started.task, started.recipe, started.state) == ("prune", "int8", "started")
    assert before <= started.unix_time_s <= succeeded.unix_time_s <= time.time()
    assert succeeded.message == "it diverged"
    log = store.get_bytes(log_key).decode()
    assert log in finished.stdout, "the pod's own log shows everything, too"
    assert 'the step prints\n{"a library": "prints"}\n' in log
    lines = json_lines(log)
    assert [line["message"].split(":")[0].split(" in ")[0] for line in lines] == [
        "started",
        "edgepress_task_validation_accuracy_ratio",
        "the candidate failed",
        "succeeded",
    ]
    for line in lines:
        assert list(line)[:8] == ["time", "level", "logger", "message", "run", "pipeline", "task", "recipe"]
        assert (line["run"], line["pipeline"], line["task"], line["recipe"]) == (RUN_ID, "digits", "prune", "int8")
    assert lines[1]["value"] == 0.75
    assert lines[2]["level"] == "warning"


@pytest.mark.parametrize(("how", "message"), [("fails", "the data is gone"), ("is wrong", "RuntimeError: a defect")])
def test_on_a_cluster_a_failed_task_leaves_why(how: str, message: str, bucket: tuple[str, ObjectStore, dict[str, str]]) -> None:
    uri, store, environment = bucket
    finished = run_task(how, environment, uri)
    assert finished.returncode == 1
    folder = f"a/prefix/runs/{RUN_ID}"
    failed = [key for key in store.list_keys(f"{folder}/events/") if key.endswith(".failed.json")]
    event = TaskEvent.model_validate_json(store.get_bytes(failed[-1]))
    assert (event.message, event.exit_code) == (message, 1)
    [line] = [line for line in json_lines(store.get_bytes(f"{folder}/logs/prune.int8.log").decode()) if line["level"] == "error"]
    assert line["message"] == f"failed: {message}"
    assert line["exit_code"] == 1
    assert "Traceback (most recent call last)" in line["traceback"]


@pytest.mark.parametrize("server", [closed_port, swallowing_server])
def test_a_store_that_does_not_answer_fails_no_task(server: "type[AbstractContextManager[str]]") -> None:
    with server() as url:
        credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_S3": url}
        finished = run_task("succeeds", {**credentials, "EDGEPRESS_RUN_ID": RUN_ID}, "s3://bucket/prefix")
    assert finished.returncode == 0, finished.stdout
    assert "the step prints" in finished.stdout
    [warning] = [line for line in json_lines(finished.stdout) if line["level"] == "warning"]
    assert warning["message"].startswith(f"s3://bucket/prefix/runs/{RUN_ID}: events and log of prune.int8 may be missing (")
    assert took_s(finished) < RECORD_TIMEOUT_S + 10  # on a busy machine; unbounded, it takes more than a minute


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "cannot be used as an endpoint"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "there are no credentials"),
    ],
)
def test_a_store_that_is_set_up_wrongly_fails_no_task(environment: dict[str, str], why: str) -> None:
    finished = run_task("succeeds", {**environment, "EDGEPRESS_RUN_ID": RUN_ID}, "s3://bucket")
    assert finished.returncode == 0, finished.stdout
    [warning] = [line for line in json_lines(finished.stdout) if line["level"] == "warning"]
    assert why in warning["message"]


def test_a_second_attempt_leaves_what_the_first_has_told(bucket: tuple[str, ObjectStore, dict[str, str]]) -> None:
    uri, store, environment = bucket
    run_task("fails", environment, uri)
    told = {key: store.get_bytes(key) for key in store.list_keys(f"a/prefix/runs/{RUN_ID}/events/")}
    run_task("fails", environment, uri)
    keys = store.list_keys(f"a/prefix/runs/{RUN_ID}/events/")
    assert [key.rsplit(".", 2)[1] for key in keys] == ["failed", "started"] * 2
    assert all(store.get_bytes(key) == content for key, content in told.items())


def test_on_a_cluster_without_a_store_the_pod_s_log_has_it_all() -> None:
    finished = run_task("succeeds", {"EDGEPRESS_RUN_ID": RUN_ID}, "")
    assert finished.returncode == 0
    assert [line["level"] for line in json_lines(finished.stdout)] == ["info"] * 3
    assert "the step prints" in finished.stdout


def test_locally_output_goes_to_the_run_s_folder_in_plain_text(tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "r1"
    run_dir.mkdir(parents=True)
    finished = run_task("fails", {"EDGEPRESS_RUN_DIR": str(run_dir)}, str(tmp_path))
    assert "the step prints" not in finished.stdout
    log = (run_dir / "logs" / "prune.int8.log").read_text()
    assert json_lines(log) == []
    library = '{"a library": "prints"}\n'
    for expected in (" INFO started\n", "the step prints\n", library, "_ratio: 0.75\n", "ERROR failed: the data is gone\n"):
        assert expected in log
    assert "Traceback (most recent call last)" in log
    states = [json.loads(line)["state"] for line in (run_dir / "events.jsonl").read_text().splitlines()]
    assert states == ["started", "failed"]


def test_by_hand_a_step_prints_and_nothing_is_kept(tmp_path: Path) -> None:
    finished = run_task("candidate fails", {}, str(tmp_path))
    assert finished.returncode == 0
    lines = finished.stdout.splitlines()
    assert {"the step prints", '{"a library": "prints"}'} <= set(lines)
    assert len(lines) == 3
    assert list(tmp_path.iterdir()) == []
