"""Runs ended from outside, by Ctrl-C, by a kill, by the service manager: no process stays, and a second run goes on."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.small_project import SmallProject, processes_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[SmallProject]:
    """A project whose baseline trains for long enough to be interrupted."""
    project = SmallProject(tmp_path)
    project.config["recipes"] = project.config["recipes"][:1]
    project.config["baseline"]["train"]["epochs"] = 400
    yield project
    for pid in processes_of(project.workdir):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_ended_run_leaves_no_process_and_a_second_one_goes_on(training: SmallProject, sent: signal.Signals) -> None:
    process = training.start()
    checkpoint = wait_for_file(training.workdir / "state", "*.npz")
    process.send_signal(sent)
    output, _ = process.communicate(timeout=30)
    if sent == signal.SIGKILL:
        assert process.returncode == -sent
    else:
        assert process.returncode == 1
        assert "again" in output
        assert "Traceback" not in output
        assert list(training.temporary.iterdir()) == []
    deadline = time.monotonic() + 15
    while processes_of(training.workdir) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(training.workdir) == []
    assert not list((training.workdir / "runs").glob("*/verdict.json"))
    assert checkpoint.exists()

    second = training.run()
    assert second.exit_code == 0, second.output
    assert "going on after epoch" in (second.run_dir / "logs" / "train.baseline.log").read_text()


def wait_for_file(folder: Path, pattern: str) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = next(folder.rglob(pattern), None)
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{folder} never held a {pattern}")
