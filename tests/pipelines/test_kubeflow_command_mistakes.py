"""What a user gets wrong at the command line is told in one line, with exit code 2, and before anything is sent."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgepress_pipelines.cli import app
from tests.kfp_api.faults import Fault
from tests.kfp_api.server import KfpServer, running_kfp
from tests.pipelines.cluster_configs import EXAMPLE_LOCK
from tests.pipelines.cluster_project import write_config
from tests.unit import store_environment

Command = Callable[..., Result]


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with running_kfp() as running:
        yield running


@pytest.fixture
def command(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run a command in this process, in a folder with a configuration, with no credentials of a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("EDGEPRESS_KFP_HOST", kfp.url)
    monkeypatch.setenv("EDGEPRESS_IMAGE_LOCK", str(EXAMPLE_LOCK))
    for name in ("EDGEPRESS_KFP_TOKEN", "EDGEPRESS_KFP_COOKIE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    write_config(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    with store_environment.only({}):
        yield invoke


def refusal(done: Result) -> str:
    """The one line that a command was refused with."""
    assert done.exit_code == 2, done.output
    line = done.stderr.splitlines()[-1]
    assert line.startswith("edgepress: error: ")
    return line.removeprefix("edgepress: error: ")


def test_a_working_directory_that_is_none_keeps_a_run_from_being_started(kfp: KfpServer, command: Command, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    assert "afile: cannot be a working directory" in refusal(command("submit", "config.yaml", "--wait", "--workdir", "afile"))
    assert kfp.state.is_empty()


@pytest.mark.parametrize("arguments", [("submit", "config.yaml"), ("schedule", "create", "config.yaml"), ("trigger", "config.yaml")])
def test_a_check_that_is_asked_for_and_forbidden(kfp: KfpServer, command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--kube-context", "any", "--no-cluster-check")
    assert refusal(done) == "--kube-context and --no-cluster-check: give one of them"
    assert kfp.requests == []


def test_the_advice_to_follow_a_run_again_repeats_what_was_given(kfp: KfpServer, command: Command, tmp_path: Path) -> None:
    (tmp_path / "my token").write_text("t0ken")
    kfp.state.is_multi_user = True
    write_config(tmp_path, resources={"kubeflow": {"storage_uri": "s3://runs-bucket/edgepress", "namespace": "team"}})
    given = ("--token-file", "my token", "--workdir", "work")
    kfp.faults.add(Fault("refuse", at="GET .*/runs/", times=1, status=403))
    done = command("submit", "config.yaml", "--wait", "--plain", *given)
    run_id = kfp.only_run()["run_id"]
    assert done.exit_code == 1
    advice = f"edgepress runs follow {run_id} --token-file 'my token' --workdir work --namespace team"
    assert done.stderr.endswith(f"; the run goes on; follow it again with: {advice}\n")


def test_what_belongs_to_listening_is_refused_without_it(kfp: KfpServer, command: Command) -> None:
    assert refusal(command("trigger", "config.yaml", "--debounce-s", "3")) == "--debounce-s: belongs to --listen HOST:PORT"
    assert kfp.requests == []
