"""Tasks forked from an interpreter that has imported their libraries behave as in an interpreter of their own."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress_pipelines.local.preloaded_process import Preloaded, preloaded_interpreters
from tests.unit.interpreter_task import HEAVY

TASK = "-m tests.unit.interpreter_task"


def command(python: str, does: str, function: str = "computes") -> list[str]:
    """As KFP's runner starts a task: in a shell, the function's name among the last arguments."""
    return ["sh", "-ec", f'{python} {TASK} "$@"', "sh", does, "--function_to_execute", function]


def run(
    python: str, does: str, function: str = "computes", *, cwd: Path | None = None, of_the_task: str | None = None
) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | ({"OF_THE_TASK": of_the_task} if of_the_task is not None else {})
    words = command(python, does, function)
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env=environment)


@pytest.fixture(params=["at-once", "when-needed"])
def when(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def python(when: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with preloaded_interpreters([Preloaded(["reads", "computes"], [HEAVY], when)]) as python:
        yield python


def test_tasks_share_what_was_imported_and_nothing_else(python: str, tmp_path: Path) -> None:
    first = run(python, "describe", "computes", cwd=tmp_path, of_the_task="\udcff")
    second = run(python, "describe", "reads", cwd=tmp_path)
    own = run(python, "describe", "another", cwd=tmp_path, of_the_task="\udcff")
    seen = [json.loads(done.stdout) for done in (first, second, own)]
    assert [task["preloaded"] for task in seen] == [True, True, False]
    assert len({task["pid"] for task in seen}) == 3
    assert seen[0]["parent"] == seen[1]["parent"]
    assert [task["of_the_task"] for task in seen] == ["\udcff", None, "\udcff"]
    for name in ("directory", "arguments", "module"):
        assert seen[0][name] == seen[2][name], name
    assert [done.stderr for done in (first, second, own)] == ["on standard error\nat exit\n"] * 3
    assert [done.returncode for done in (first, second, own)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("does", "status", "says"),
    [
        ("exit-3", 3, ""),
        ("exit-text", 1, "a reason"),
        ("raise", 1, "ValueError: of the task"),
        ("be-killed", 128 + 9, ""),
        ("lose-a-thread", 0, "the thread is done"),
    ],
)
def test_a_task_ends_as_it_would_in_an_interpreter_of_its_own(python: str, does: str, status: int, says: str) -> None:
    for function in ("computes", "another"):
        done = run(python, does, function)
        assert done.returncode == status, (function, done.stderr)
        assert says in done.stderr
    assert run(python, "exit-3").returncode == 3


def test_tasks_run_side_by_side_and_end_with_whoever_asked_for_them(python: str) -> None:
    words = [*shlex.split(python), *shlex.split(TASK), "wait", "--function_to_execute", "computes"]
    slow = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert slow.stdout is not None
    pid = int(slow.stdout.readline())
    assert run(python, "exit-3").returncode == 3
    assert is_alive(pid)
    slow.kill()
    slow.communicate()
    assert gone(pid)


def test_nothing_stays_when_the_engine_ends(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with preloaded_interpreters([Preloaded(["computes"], [HEAVY], when)]) as python:
        task = subprocess.Popen(command(python, "wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert task.stdout is not None
        pid = int(task.stdout.readline())
    _, errors = task.communicate(timeout=30)
    assert gone(pid)
    assert task.returncode == 1
    assert errors == "computes: the interpreter that it is forked from has ended, or cannot fork\n"


def test_modules_are_imported_when_needed_and_their_errors_are_the_tasks_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    (tmp_path / "broken.py").write_text("import pathlib\npathlib.Path(__file__).with_suffix('.seen').touch()\nimport absent_library\n")
    seen = tmp_path / "broken.seen"
    with preloaded_interpreters([Preloaded(["computes"], ["broken"], "when-needed")]):
        time.sleep(0.5)
    assert not seen.exists()
    with preloaded_interpreters([Preloaded(["computes"], ["broken"], "when-needed")]) as python:
        done = run(python, "import-broken")
    assert seen.exists()
    assert done.returncode == 1
    assert "No module named 'absent_library'" in done.stderr


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)
