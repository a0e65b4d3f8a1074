"""The exit handler on KFP's own runner: whatever ends the run, the last task records it."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgepress.contracts.run import RunEnd

# A process of its own, because KFP's local runner is set up for a whole process.
PROGRAM = """
import sys
from pathlib import Path
from kfp import dsl, local
from edgepress.contracts.run import RunContext
from edgepress.finish.component import finish

@dsl.component(base_image="python", install_kfp_package=False)
def work(outcome: str) -> None:
    if outcome == "fail":
        raise RuntimeError("broken on purpose")

@dsl.pipeline(name="ends")
def ends(context: str, outcome: str) -> None:
    with dsl.ExitHandler(finish(context=context, run_id="run-1")):
        work(outcome=outcome)

folder, outcome = sys.argv[1:]
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=False)
ends(context=RunContext(name="demo", storage=folder).model_dump_json(), outcome=outcome)
"""


@pytest.mark.parametrize(("outcome", "state"), [("pass", "succeeded"), ("fail", "failed")])
def test_how_a_run_ended_is_recorded(outcome: str, state: str, tmp_path: Path) -> None:
    program = tmp_path / "ends.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(tmp_path), outcome]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    record = tmp_path / "runs" / "run-1" / "finished.json"
    assert record.is_file(), done.stdout + done.stderr
    end = RunEnd.model_validate_json(record.read_bytes())
    assert (end.name, end.run_id, end.state) == ("demo", "run-1", state)
