"""The exit handler on KFP's own runner: whatever ends the run, the last task tells the metrics how."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.broken_servers import answering_server

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


@pytest.mark.parametrize(("outcome", "succeeded"), [("pass", "1.0"), ("fail", "0.0")])
def test_how_a_run_ended_is_counted(outcome: str, succeeded: str, tmp_path: Path) -> None:
    program = tmp_path / "ends.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(tmp_path), outcome]
    with answering_server(202) as gateway:
        environment = {**os.environ, "EDGEPRESS_PUSHGATEWAY_URL": gateway.url, "EDGEPRESS_RUN_ID": "run-1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path, env=environment)
    pushed = [body for _, path, body in gateway.seen if path.endswith("/task/finish")]
    assert len(pushed) == 1, done.stdout + done.stderr
    assert f"\nedgepress_run_succeeded {succeeded}\n" in pushed[0]
