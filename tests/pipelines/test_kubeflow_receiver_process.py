"""`edgepress trigger` as users and clusters run it, against a real object store, over real HTTP, with the stand-in for KFP.

What listens, and what happens in several processes at once, runs as processes; single checks in this one, which is quicker.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgepress.contracts.last_verdict import LastVerdict, last_verdict_key
from edgepress.observe.metrics_push import PUSHGATEWAY_VARIABLE
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress_pipelines.cli import app
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.compile import compile_pipeline
from edgepress_pipelines.kubeflow.image_lock import read_image_lock
from edgepress_pipelines.trigger.fingerprint import digest_dataset, take_fingerprint
from edgepress_pipelines.trigger.receiver.server import MAX_CONNECTIONS, MAX_STATUS_CONNECTIONS
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.foreground import heed_interrupts
from tests.unit.broken_servers import answering_server
from tests.unit.running_receiver import TOKEN, payload, post, request

WAIT_S = 120.0
CONFIG = """
name: pets
dataset: {source: s3://data/x}
baseline: {model: mlp}
recipes: [{recipe: int8}]
gate: {accuracy: {max_drop: 0.02}}
resources: {kubeflow: {storage_uri: s3://edgepress/runs}}
release: {uri: s3://edgepress/releases}
"""


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


@pytest.fixture
def project(server: EmbeddedStore, tmp_path: Path) -> Path:
    """A project whose last verdict is of what it is computed from now."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    images = [
        {"name": f"edgepress/{name}", "newName": f"registry.example.org/edgepress/{name}", "digest": f"sha256:{'1' * 64}"}
        for name in ("trainer", "evaluator", "releaser")
    ]
    (tmp_path / "lock.yaml").write_text(json.dumps({"kind": "Component", "images": images}))
    (tmp_path / "token").write_text(TOKEN)
    data, _ = open_store("s3://data/x")
    data.put_bytes("x/cat/1.png", b"cat")
    judge(tmp_path)
    return tmp_path


def judge(project: Path, run_id: str = "run-1") -> None:
    """Write the verdict of a run on what there is now."""
    config = load_config(project / "config.yaml")
    pipeline = compile_pipeline(config.resources.kubeflow, read_image_lock(project / "lock.yaml"))
    fingerprint = take_fingerprint(config, pipeline.digest, dataset=digest_dataset(config))
    record = LastVerdict(run_id=run_id, started_unix_s=1.0, fingerprint=fingerprint, outcome="rejected")
    open_store("s3://edgepress/runs")[0].put_bytes(f"runs/{last_verdict_key('pets')}", record.model_dump_json().encode())


def arguments(project: Path, kfp: KfpServer, *options: str) -> list[str]:
    return ["trigger", str(project / "config.yaml"), "--host", kfp.url, "--image-lock", str(project / "lock.yaml"), *options]


def command(project: Path, kfp: KfpServer, *options: str) -> list[str]:
    return [sys.executable, "-m", "edgepress_pipelines", *arguments(project, kfp, *options)]


def check(project: Path, kfp: KfpServer, *options: str) -> Result:
    """One check, in this process."""
    return CliRunner().invoke(app, arguments(project, kfp, *options))


class ReceiverProcess:
    """A receiver whose log is read all the time: a full pipe would stop it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.port = 0
        self.status_port = 0
        self.lines: list[dict[str, Any]] = []
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._told:
                self.lines.append(json.loads(text))
                self._told.notify_all()

    def wait_for(self, message: str, count: int = 1) -> dict[str, Any]:
        """The line of the log with this message, when it has been told so often."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line["message"].startswith(message)]

        with self._told:
            assert self._told.wait_for(lambda: len(found()) >= count, WAIT_S), self.lines[-10:]
            return found()[-1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; gives the exit code when the whole log has been read."""
        self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code


@contextmanager
def receiver_process(project: Path, kfp: KfpServer, *options: str) -> Iterator[ReceiverProcess]:
    addresses = ("--listen", "127.0.0.1:0", "--listen-status", "127.0.0.1:0")
    arguments = command(project, kfp, *addresses, "--receiver-token-file", str(project / "token"), *options)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ.copy(), preexec_fn=heed_interrupts)
    receiver = ReceiverProcess(process)
    try:
        listening = receiver.wait_for("listening")
        receiver.port, receiver.status_port = listening["port"], listening["status_port"]
        yield receiver
    finally:
        receiver.end(signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


def test_one_check_says_what_it_found(project: Path, kfp: KfpServer) -> None:
    done = subprocess.run(command(project, kfp), capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "nothing has changed since the verdict of run run-1 (rejected)\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--set", "dataset.source=s3://data/absent"), "dataset.source: s3://data/absent: the store holds nothing there"),
        (("--set", "resources.kubeflow.storage_uri=null"), "resources.kubeflow.storage_uri: is not set"),
        (("--image-lock", "absent.yaml"), "absent.yaml: there is no image lock"),
        (("--host", "http://127.0.0.1:9"), "http://127.0.0.1:9: "),
        (("--listen", "127.0.0.1:0"), "--listen: whoever can reach it could start runs"),
        (("--receiver-token-file", "token"), "--receiver-token-file: belongs to --listen"),
        (("--listen-status", "127.0.0.1:0"), "--listen-status: belongs to --listen"),
        (("--listen", "127.0.0.1:0", "--listen-status", "x", "--receiver-token-file", "token"), "--listen-status x: is not HOST:PORT"),
        (("--listen", "nowhere", "--receiver-token-file", "token"), "--listen nowhere: is not HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--receiver-token-file", "absent"), "--receiver-token-file absent: cannot be read"),
        (
            ("--listen", "127.0.0.1:0", "--receiver-token-file", "token", "--set", "resources.kubeflow.storage_uri=null"),
            "resources.kubeflow.storage_uri: is not set",
        ),
        (("--listen", "192.0.2.1:80", "--receiver-token-file", "token"), "--listen 192.0.2.1:80: cannot be listened on"),
    ],
)
def test_every_mistake_is_one_line(
    project: Path, kfp: KfpServer, options: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    done = check(project, kfp, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edgepress: error: {expected}")
    assert done.stderr.count("\n") == 1


def test_a_receiver_from_its_start_to_its_end(project: Path, kfp: KfpServer) -> None:
    with receiver_process(project, kfp, "--debounce-s", "0.2") as receiver:
        receiver.wait_for("nothing has changed")
        port, event = receiver.port, payload("minio_object_created")
        assert post(port, "/events/s3", event, token=None).status == 401
        assert post(port, "/events/s3", event.replace(b'"data"', b'"other"')).json() == {"outcome": "ignored"}
        assert post(port, "/events/alertmanager", payload("alertmanager_resolved")).json() == {"outcome": "ignored"}
        assert post(port, "/events/s3", event).status == 202
        receiver.wait_for("nothing has changed", count=2)
        assert post(port, "/events/s3", event).json() == {"outcome": "duplicate"}
        assert post(port, "/events/alertmanager", payload("alertmanager_firing")).status == 202
        receiver.wait_for("nothing has changed", count=3)
        metrics = request(receiver.status_port, "GET", "/metrics", token=None).body.decode()
        assert 'edgepress_receiver_requests_total{outcome="unauthorized",source="s3"} 1.0' in metrics
        assert all(re.match(r"edgepress_|# (HELP|TYPE) edgepress_", line) for line in metrics.splitlines())
        with ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda _: post(port, "/events/alertmanager", payload("alertmanager_resolved")).status, range(600))
        assert set(answers) == {200, 429}
        assert receiver.end() == 0
        assert receiver.lines[-1]["message"] == "stopped"
        assert TOKEN not in json.dumps(receiver.lines)
        assert all(line["pipeline"] == "pets" and line["level"] in ("info", "warning") for line in receiver.lines)
        assert {line["logger"].partition(".")[0] for line in receiver.lines} == {"edgepress_pipelines"}
        assert {line["client"] for line in receiver.lines if line["message"] == "request refused"} == {"127.0.0.1"}


def test_a_change_that_nobody_told_is_a_run_at_the_start(project: Path, kfp: KfpServer) -> None:
    open_store("s3://data/x")[0].put_bytes("x/dog/1.png", b"dog")
    with receiver_process(project, kfp, "--debounce-s", "0") as receiver:
        started = receiver.wait_for("started run ")
        run = kfp.only_run()
        assert started["message"] == f"started run {run['run_id']}: the dataset changed since the verdict of run run-1 (rejected)"
        assert started["run"] == run["run_id"]
        post(receiver.port, "/events/alertmanager", payload("alertmanager_firing"))
        receiver.wait_for(f"nothing to do: run {run['run_id']} is in progress")
        kfp.state.set_state(run["run_id"], "SUCCEEDED")
        judge(project, run["run_id"])
        assert (
            json.loads(run["runtime_config"]["parameters"]["fingerprint"])
            == json.loads(open_store("s3://edgepress/runs")[0].get_bytes(f"runs/{last_verdict_key('pets')}"))["fingerprint"]
        )
        post(receiver.port, "/events/s3", payload("minio_object_created"))
        receiver.wait_for(f"nothing has changed since the verdict of run {run['run_id']}")
        assert len(kfp.state.runs) == 1
        assert receiver.end(signal.SIGINT) == 0


def test_of_triggers_at_the_same_moment_one_starts_a_run(project: Path, kfp: KfpServer) -> None:
    open_store("s3://data/x")[0].put_bytes("x/dog/2.png", b"dog")
    processes = [subprocess.Popen(command(project, kfp), stdout=subprocess.PIPE, text=True, env=os.environ.copy()) for _ in range(3)]
    said = sorted(process.communicate(timeout=WAIT_S * 2)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    run_id = kfp.only_run()["run_id"]
    assert said[0] == said[1] == f"nothing to do: run {run_id} is in progress on the same data, code and configuration\n"
    assert said[2].startswith(f"started run {run_id}: the dataset changed")


def test_a_change_whose_runs_fail_is_given_up(project: Path, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store("s3://data/x")[0].put_bytes("x/dog/3.png", b"dog")
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        assert check(project, kfp).exit_code == 0
    assert len(gateway.seen) == 1
    run = kfp.only_run()
    for number in (1, 2):  # two more with the same parameters, which somebody submitted
        kfp.state.runs[f"again-{number}"] = run | {"run_id": f"again-{number}", "state_history": []}
    for run_id in kfp.state.runs:
        kfp.state.set_state(run_id, "FAILED")
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        given_up = check(project, kfp)
    assert gateway.seen == [], "a run is due and none was started: that is no success"
    assert (given_up.exit_code, given_up.stdout, len(kfp.state.runs)) == (1, "", 3)
    assert given_up.stderr.startswith(
        "edgepress: error: no run was started: the last 3 runs on the same data, code and configuration failed"
    )
    monkeypatch.delenv(PUSHGATEWAY_VARIABLE)
    forced = check(project, kfp, "--force")
    assert (forced.exit_code, len(kfp.state.runs)) == (0, 4)


def test_events_are_about_the_configuration_as_it_is_now(project: Path, kfp: KfpServer) -> None:
    elsewhere = payload("minio_object_created").replace(b'"data"', b'"other"')
    with receiver_process(project, kfp, "--debounce-s", "600") as receiver:
        assert post(receiver.port, "/events/s3", elsewhere).json() == {"outcome": "ignored"}
        (project / "config.yaml").write_text(CONFIG.replace("s3://data/x", "s3://other/x"))
        assert post(receiver.port, "/events/s3", elsewhere).status == 202
        assert post(receiver.port, "/events/s3", payload("minio_object_created")).json() == {"outcome": "ignored"}
        (project / "config.yaml").write_text("name: pets\n")
        assert post(receiver.port, "/events/s3", payload("minio_object_created")).status == 202


def test_what_is_not_checked_before_a_start_is_said(project: Path, kfp: KfpServer) -> None:
    open_store("s3://data/x")[0].put_bytes("x/dog/4.png", b"dog")
    done = check(project, kfp)
    assert (done.exit_code, done.stdout.startswith("started run ")) == (0, True)
    assert done.stderr.count("\n") == 1
    assert "Secret edgepress-s3 in namespace kubeflow" in done.stderr
    refused = check(project, kfp, "--force", "--set", "dataset.seed=1", "--kube-context", "nowhere")
    assert (refused.exit_code, refused.stdout, len(kfp.state.runs)) == (2, "", 1)
    assert refused.stderr.startswith("edgepress: error: --kube-context nowhere")
    quiet = check(project, kfp, "--set", "dataset.seed=2", "--no-cluster-check")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


def test_a_check_under_way_is_finished(project: Path, kfp: KfpServer) -> None:
    asked, held = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        assert held.wait(WAIT_S)

    kfp.before_next("GET", "/runs", hold)
    with receiver_process(project, kfp) as receiver:
        assert asked.wait(WAIT_S)
        receiver.process.terminate()
        receiver.wait_for("stopping")
        held.set()
        receiver.wait_for("nothing has changed")
        receiver.wait_for("stopped")
        assert receiver.process.wait(WAIT_S) == 0


def test_an_event_that_was_accepted_is_looked_into_before_the_end(project: Path, kfp: KfpServer) -> None:
    with receiver_process(project, kfp, "--debounce-s", "600") as receiver:
        receiver.wait_for("nothing has changed")
        assert post(receiver.port, "/events/alertmanager", payload("alertmanager_firing")).status == 202
        assert receiver.end() == 0
        receiver.wait_for("nothing has changed", count=2)
        assert receiver.lines[-1]["message"] == "stopped"


def test_idle_connections_keep_out_neither_a_probe_nor_an_event(project: Path, kfp: KfpServer) -> None:
    with receiver_process(project, kfp) as receiver, ExitStack() as idle:
        for port in [receiver.port] * (MAX_CONNECTIONS + 50) + [receiver.status_port] * (MAX_STATUS_CONNECTIONS + 50):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WAIT_S))
        assert request(receiver.status_port, "GET", "/healthz", token=None).status == 200
        assert request(receiver.status_port, "GET", "/metrics", token=None).status == 200
        assert post(receiver.port, "/events/alertmanager", payload("alertmanager_firing")).status == 202
        assert receiver.process.poll() is None


def test_a_configuration_that_changes_is_followed(project: Path, kfp: KfpServer) -> None:
    with receiver_process(project, kfp, "--debounce-s", "0") as receiver:
        receiver.wait_for("nothing has changed")
        (project / "config.yaml").write_text("name: pets\n")
        post(receiver.port, "/events/alertmanager", payload("alertmanager_firing"))
        assert "config.yaml" in receiver.wait_for("the check failed")["message"]
        assert request(receiver.status_port, "GET", "/readyz").status == 200
        (project / "config.yaml").write_text(CONFIG)
        receiver.wait_for("nothing has changed", count=2)
