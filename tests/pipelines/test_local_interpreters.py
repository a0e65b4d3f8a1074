"""Which interpreters a run's tasks are forked from, and that KFP's own runner starts them so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import dsl, local

from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.local.interpreters import interpreters_of
from edgepress_pipelines.local.preloaded_process import Preloaded, preloaded_interpreters

HEAVY = "xml.dom.minidom"


@dsl.component(base_image="python", install_kfp_package=False)
def look_around(module: str) -> str:
    import json
    import os
    import sys

    return json.dumps({"preloaded": module in sys.modules, "parent": os.getppid(), "pid": os.getpid()})


@dsl.pipeline
def two_tasks(module: str) -> str:
    first = look_around(module=module)
    return look_around(module=module).after(first).output


def test_tasks_that_compute_share_an_interpreter_and_no_other_task_has_tensorflow() -> None:
    pipeline = build_pipeline(BuildSettings(parallelism=1, run_id="r", code_digest=lambda step: f"sha256:{step}"))
    others, computing = interpreters_of(pipeline)
    assert set(computing.functions) == {"train", "distill", "prune", "cluster", "quantize", "convert"}
    assert computing.when == "when-needed"
    assert {"ingest", "pin_dataset", "evaluate", "benchmark", "judge", "report", "release"} < set(others.functions)
    assert not set(others.functions) & set(computing.functions)
    loaded = modules_after(others)
    assert not loaded & {"tensorflow", "tf_keras", "ai_edge_litert", "matplotlib", "kfp.compiler"}
    assert {"numpy", "pydantic", "edgepress.contracts.config"} < loaded
    assert {"tensorflow", "tf_keras", "tensorflow_model_optimization"} < modules_after(computing)


def modules_after(interpreter: Preloaded) -> set[str]:
    code = f"import sys; [__import__(name) for name in {list(interpreter.modules)!r}]; print(*sys.modules)"
    environment = os.environ | {"_KFP_RUNTIME": "true", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=environment)
    return set(done.stdout.split())


def test_kfps_runner_starts_tasks_from_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), workspace_root=str(tmp_path / "workspace"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with preloaded_interpreters([Preloaded(["look_around"], [HEAVY], "at-once")]) as python:
        monkeypatch.setattr(sys, "executable", python)
        two_tasks(module=HEAVY)
    seen = [json.loads(json.loads(path.read_text())["parameterValues"]["Output"]) for path in tmp_path.rglob("executor_output.json")]
    assert [task["preloaded"] for task in seen] == [True, True]
    assert len({task["pid"] for task in seen}) == 2
    assert len({task["parent"] for task in seen}) == 1
