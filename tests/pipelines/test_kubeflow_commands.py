"""The commands as a user starts them, against KFP's stand-in over HTTP and the real object store.

Whatever waits, is interrupted or must come out the same in two processes runs as a process; the rest in this one, which is quicker.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from edgepress.storage import open_store, s3_client
from edgepress.storage.embedded import EmbeddedStore
from edgepress_pipelines.cli import app
from edgepress_pipelines.commands.arguments import make_console
from edgepress_pipelines.commands.runs import follow_to_end
from edgepress_pipelines.kubeflow.runs.submit import submit_run
from tests.kfp_api.faults import Fault
from tests.kfp_api.server import Door, KfpServer, running_kfp
from tests.pipelines.cluster_configs import EXAMPLE_LOCK
from tests.pipelines.cluster_project import PUBLISHED_URI, STORAGE, RunOnCluster, connect, package_of, read_config, write_config
from tests.pipelines.foreground import heed_interrupts

EDGEPRESS = (sys.executable, "-m", "edgepress_pipelines")


@pytest.fixture
def store(server: EmbeddedStore) -> dict[str, str]:
    return server.environment


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


def start(kfp: KfpServer, folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EDGEPRESS_KFP")}
    fixed = {"HOME": str(folder / "home"), "EDGEPRESS_KFP_HOST": kfp.url, "EDGEPRESS_IMAGE_LOCK": str(EXAMPLE_LOCK), "COLUMNS": "160"}
    return subprocess.Popen(
        [*EDGEPRESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        preexec_fn=heed_interrupts,
        env=clean | fixed | environment,
    )


def run(kfp: KfpServer, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(kfp, folder, *arguments, **environment)
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def command(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("EDGEPRESS_KFP_HOST", kfp.url)
    monkeypatch.setenv("EDGEPRESS_IMAGE_LOCK", str(EXAMPLE_LOCK))
    for name in ("EDGEPRESS_KFP_TOKEN", "EDGEPRESS_KFP_COOKIE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(app, arguments, env=environment)

    return invoke


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_submitting_and_waiting_for_the_verdict(
    kfp: KfpServer, store: dict[str, str], command: Callable[..., Result], tmp_path: Path
) -> None:
    write_config(tmp_path)
    process = start(kfp, tmp_path, "submit", "config.yaml", "--wait", "--plain")
    until(lambda: kfp.state.runs)
    run_id = kfp.only_run()["run_id"]
    kfp.state.set_state(run_id, "RUNNING")
    tasks = RunOnCluster(STORAGE, run_id)
    tasks.event("ingest", None, "started", 1.0)
    kfp.faults.add(Fault("drop", at="GET .*/runs/", times=2))
    tasks.finish("rejected")
    kfp.state.set_state(run_id, "SUCCEEDED")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 10, err
    assert run_id in out
    assert f"{kfp.url}/#/runs/details/{run_id}" in out
    assert "baseline: train done" in out
    assert "Rejected: student-int8 was nominated" in out
    folder = tmp_path / ".edgepress" / "runs" / run_id
    assert (folder / "report.html").read_bytes() == b"<html>report</html>"
    assert (folder / "logs" / "train.baseline.log").is_file()
    assert (tmp_path / ".edgepress" / "runs" / "latest").resolve() == folder.resolve()
    assert not (tmp_path / "home").exists()  # kfp.Client would have left a context there

    listed = command("runs", "list")
    assert listed.exit_code == 0, listed.stderr
    (line,) = (line for line in listed.stdout.splitlines() if run_id in line)
    assert "succeeded" in line
    assert line.rstrip().endswith("rejected")

    logs = command("runs", "logs", run_id)
    assert logs.stdout == "train.baseline\n"
    assert command("runs", "logs", run_id, "train.baseline").stdout == "epoch 1 of 1\n"
    assert command("runs", "logs", run_id, "train").stdout == "epoch 1 of 1\n"
    absent = command("runs", "logs", run_id, "prune")
    assert (absent.exit_code, absent.stderr.count("\n")) == (2, 1)
    assert "train.baseline" in absent.stderr
    assert command("report", run_id).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_run_and_says_how_to_follow_it_again(
    number: signal.Signals, kfp: KfpServer, store: dict[str, str], command: Callable[..., Result], tmp_path: Path
) -> None:
    write_config(tmp_path)
    process = start(kfp, tmp_path, "submit", "config.yaml", "--wait", "--plain")
    until(lambda: any(request.startswith("GET /apis/v2beta1/runs/") for request in kfp.requests))
    assert process.stdout is not None
    lines = process.stdout
    until(lambda: "; logs: edgepress runs logs " in lines.readline())
    process.send_signal(number)
    _, err = process.communicate(timeout=240)
    run_id = kfp.only_run()["run_id"]
    assert process.returncode == 1
    assert err.splitlines()[-1] == f"edgepress: error: interrupted; the run goes on; follow it again with: edgepress runs follow {run_id}"
    assert kfp.only_run()["state"] == "PENDING"

    RunOnCluster(STORAGE, run_id).finish("passed")
    kfp.state.set_state(run_id, "SUCCEEDED")
    followed = command("runs", "follow", kfp.only_run()["display_name"], "--plain")
    assert followed.exit_code == 0, followed.stderr
    assert "Passed: student-int8" in followed.stdout
    assert PUBLISHED_URI in followed.stdout
    assert PUBLISHED_URI in command("report", run_id).stdout


def test_a_token_file_that_stays_empty_is_not_the_end_of_the_run(
    kfp: KfpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = package_of(read_config(tmp_path))
    run_id = submit_run(read_config(tmp_path), connect(kfp), package).run_id
    token = tmp_path / "token"
    token.write_text("t0ken")
    connection = connect(kfp, token_file=token)
    token.write_text("")
    with pytest.raises(typer.Exit) as ended:
        follow_to_end(make_console(), connection, run_id, tmp_path / "work", plain=True)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err.endswith(f"; the run goes on; follow it again with: edgepress runs follow {run_id}\n")


def test_following_what_is_not_there_is_wrong_input(kfp: KfpServer, command: Callable[..., Result], tmp_path: Path) -> None:
    done = command("runs", "follow", "nonsense")
    assert done.exit_code == 2
    assert "there is no run 'nonsense'" in done.stderr
    assert "goes on" not in done.stderr
    assert not (tmp_path / ".edgepress").exists()


def test_waiting_without_access_to_the_store_follows_the_state_alone(kfp: KfpServer, tmp_path: Path) -> None:
    write_config(tmp_path)
    nothing = {"AWS_ENDPOINT_URL_S3": kfp.url.replace("127.0.0.1", "localhost"), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    process = start(kfp, tmp_path, "submit", "config.yaml", "--wait", "--plain", **nothing)
    until(lambda: kfp.state.runs)
    run_id = kfp.only_run()["run_id"]
    assert process.stdout is not None
    lines = process.stdout
    until(lambda: "only the run's state" in lines.readline())
    kfp.state.set_state(run_id, "SUCCEEDED")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "its results cannot be read from here" in err
    assert run_id in err.splitlines()[-1]


def test_submitting_alone_returns_at_once(kfp: KfpServer, command: Callable[..., Result], tmp_path: Path) -> None:
    write_config(tmp_path)
    done = command("submit", "config.yaml", "--set", "gate.accuracy.max_drop=0.03")
    assert done.exit_code == 0, done.stderr
    assert kfp.only_run()["run_id"] in done.stdout
    assert '"max_drop":0.03' in kfp.only_run()["runtime_config"]["parameters"]["policy"]
    assert "not checked from here: Secret edgepress-s3" in done.stderr
    assert not (tmp_path / ".edgepress").exists()


def test_who_starts_a_run_says_what_it_knows_of_what_the_run_is_computed_from(
    kfp: KfpServer, command: Callable[..., Result], tmp_path: Path
) -> None:
    def fingerprint(run_id: str) -> dict[str, str]:
        found = json.loads(kfp.state.runs[run_id]["runtime_config"]["parameters"]["fingerprint"])
        assert isinstance(found, dict)
        return found

    write_config(tmp_path)
    assert command("submit", "config.yaml").exit_code == 0
    seen = fingerprint(kfp.only_run()["run_id"])
    assert set(seen) == {"code", "configuration", "dataset"}
    assert command("schedule", "create", "config.yaml").exit_code == 0
    (recurring_run_id,) = kfp.state.recurring_runs
    scheduled = fingerprint(kfp.state.fire(recurring_run_id))
    assert scheduled == {key: seen[key] for key in ("code", "configuration")}  # each run finds data of its own


def test_data_on_a_volume_of_the_cluster_is_left_to_the_run_to_look_at(
    kfp: KfpServer, command: Callable[..., Result], tmp_path: Path
) -> None:
    volume = {"claim_name": "pets", "mount_path": "/mnt/nowhere-here"}
    kubeflow = {"storage_uri": STORAGE, "data_volume": volume}
    write_config(tmp_path, dataset={"source": "/mnt/nowhere-here/pets"}, resources={"kubeflow": kubeflow})
    submitted = command("submit", "config.yaml")
    assert submitted.exit_code == 0, submitted.output
    assert set(json.loads(kfp.only_run()["runtime_config"]["parameters"]["fingerprint"])) == {"code", "configuration"}
    refused = command("trigger", "config.yaml")
    assert (refused.exit_code, len(kfp.state.runs)) == (2, 1)
    assert "dataset.source: /mnt/nowhere-here/pets is not here" in " ".join(refused.output.split())


@pytest.fixture
def objects_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the objects whose content is asked for from now on."""
    paths: list[str] = []

    def watched(endpoint_url: str | None) -> Any:
        client = s3_client.connect(endpoint_url)
        client.meta.events.register("before-call.s3.GetObject", lambda params, **_: paths.append(params["url_path"]))
        return client

    monkeypatch.setattr("edgepress.storage.s3.connect", watched)
    return paths


@pytest.mark.parametrize("arguments", [("submit",), ("schedule", "create"), ("trigger",)])
def test_an_adopted_model_is_read_once(
    kfp: KfpServer,
    store: dict[str, str],
    command: Callable[..., Result],
    arguments: tuple[str, ...],
    objects_read: list[str],
    tmp_path: Path,
) -> None:
    models, _ = open_store("s3://models/mine")
    files = ("mine/saved_model.pb", "mine/variables/variables.index")
    for key in files:
        models.put_bytes(key, key.encode())
    write_config(tmp_path, baseline={"from": "s3://models/mine"}, name="-".join(("adopted", *arguments)))
    done = command(*arguments, "config.yaml")
    assert done.exit_code == 0, done.output
    assert len(kfp.state.runs) + len(kfp.state.recurring_runs) == 1
    assert sorted(objects_read) == [f"/{key}" for key in files]


def test_uploading_twice(kfp: KfpServer, tmp_path: Path) -> None:
    write_config(tmp_path)
    first, again = (run(kfp, tmp_path, "upload", "config.yaml") for _ in range(2))
    assert first.stdout.endswith(": uploaded\n"), first.stderr
    assert again.stdout.endswith(": there already, nothing uploaded\n")
    assert len(kfp.state.versions) == 1
    assert kfp.state.runs == {}


def test_a_schedule_from_the_command_line(command: Callable[..., Result], tmp_path: Path) -> None:
    write_config(tmp_path)
    assert command("schedule", "list").stdout == "no schedules\n"
    created = command("schedule", "create", "config.yaml")
    assert created.stdout == "schedule digits: created; 0 3 * * 0 UTC\n", created.stderr
    assert "nothing changed" in command("schedule", "create", "config.yaml").stdout
    assert command("schedule", "pause", "config.yaml").stdout == "schedule digits: paused\n"
    assert command("schedule", "pause", "digits").stdout == "schedule digits: was paused already\n"
    assert "paused" in command("schedule", "list").stdout
    assert command("schedule", "resume", "digits").stdout == "schedule digits: resumed\n"
    assert command("schedule", "delete", "digits").stdout == "schedule digits: deleted\n"
    absent = command("schedule", "delete", "digits")
    assert (absent.exit_code, absent.stdout) == (0, "schedule digits: there was none\n")
    missing = command("schedule", "pause", "digits")
    assert missing.exit_code == 2
    assert "there is no schedule 'digits'" in missing.stderr


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("unreachable", "Connection refused"),
        ("old", "older than 2.16.0"),
        ("login page", "login page"),
        ("no token", "401"),
        ("no storage", "resources.kubeflow.storage_uri"),
        ("no namespace", "--namespace"),
        ("no such context", "--kube-context"),
        ("wrong key", "gate"),
        ("no image lock", "there is no image lock"),
        ("image not in the lock", "edgepress/releaser"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    kfp: KfpServer, command: Callable[..., Result], case: str, said: str, tmp_path: Path
) -> None:
    write_config(tmp_path, **({"resources": {}} if case == "no storage" else {}))
    arguments = ["submit", "config.yaml"]
    environment: dict[str, str] = {}
    kfp.state.is_multi_user = case == "no namespace"
    if case == "unreachable":
        with running_kfp() as gone:
            environment["EDGEPRESS_KFP_HOST"] = gone.url
    if case == "old":
        kfp.tag_name = "2.5.0"
    if case == "login page":
        kfp.door = Door(cookie="session=1")
    if case == "no token":
        kfp.door = Door(tokens={})
    if case == "no such context":
        arguments += ["--kube-context", "nowhere"]
        environment["KUBECONFIG"] = str(tmp_path / "none")
    if case == "no image lock":
        environment["EDGEPRESS_IMAGE_LOCK"] = "none.yaml"
    if case == "image not in the lock":
        lock = tmp_path / "lock.yaml"
        lock.write_text(EXAMPLE_LOCK.read_text().replace("edgepress/releaser", "edgepress/other"))
        environment["EDGEPRESS_IMAGE_LOCK"] = str(lock)
    if case == "wrong key":
        arguments += ["--set", "gate.nonsense=1"]
    done = command(*arguments, **environment)
    assert done.exit_code == 2, done.stderr
    assert done.stderr.startswith("edgepress: error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert done.stdout == ""
    assert kfp.state.is_empty()


def test_secrets_come_from_files_and_the_environment_and_are_never_shown(
    kfp: KfpServer, command: Callable[..., Result], tmp_path: Path
) -> None:
    kfp.door = Door(tokens={"t0ken": frozenset()})
    (tmp_path / "token").write_text("t0ken")
    assert command("schedule", "list", "--token-file", "token").exit_code == 0
    assert command("schedule", "list", EDGEPRESS_KFP_TOKEN="t0ken").exit_code == 0
    wrong = command("schedule", "list", EDGEPRESS_KFP_TOKEN="wr0ng")
    assert wrong.exit_code == 2
    assert "wr0ng" not in wrong.stdout + wrong.stderr
