"""Steps by hand: how they end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgepress.command import run_step
from edgepress.errors import ConfigError, EdgePressError


class OwnError(EdgePressError):
    """Of a room that has an error of its own."""

    exit_code = 11


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("config.yaml: gate: is missing"), 2, "config.yaml: gate: is missing"),
        (OwnError("one's own"), 11, "one's own"),
        (FileNotFoundError(2, "No such file"), 1, "FileNotFoundError: [Errno 2] No such file"),
        (KeyboardInterrupt(), 1, "interrupted"),
    ],
)
def test_what_a_step_raises_is_one_line_and_its_exit_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(*, name: str) -> None:
        """A step."""
        assert name == "given"
        raise error

    with pytest.raises(SystemExit) as ended:
        run_step(step, ["--name", "given"])
    assert ended.value.code == code
    assert capsys.readouterr().err == f"edgepress: error: {message}\n"


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    def step() -> None:
        """A step."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_step(step, [])


WAITING = """
import sys, time
from edgepress.command import run_step
def step():
    print("begun", flush=True)
    time.sleep(600)
run_step(step, [])
"""


def test_an_interrupt_from_the_keyboard_is_one_line(tmp_path: Path) -> None:
    # Python leaves interrupts ignored where it was started so, as in the background of a shell.
    command = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + WAITING]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "edgepress: error: interrupted\n")
