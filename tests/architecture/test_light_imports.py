"""Importing the command, a contract or a step is quick: what is heavy is imported by the branch that needs it.

Each import runs in a process of its own, because one that has imported TensorFlow keeps it.
"""

import subprocess
import sys

import pytest

from tests.architecture.source_tree import read_modules

HEAVY = ("tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "kfp", "kubernetes", "boto3", "sklearn", "matplotlib")
ENGINE = {"kfp", "kubernetes"}

MODULES = read_modules()
STEPS = [name for name in MODULES if name.rpartition(".")[2] in ("step", "__main__") and name.startswith("edgepress.")]
CONTRACTS = [name for name in MODULES if name.startswith("edgepress.contracts.")]


def heavy_packages_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('loaded:', *(name for name in {HEAVY!r} if name in sys.modules))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.splitlines()[-1].removeprefix("loaded:").split())


def test_importing_the_command_loads_nothing_heavy() -> None:
    assert heavy_packages_after("import edgepress_pipelines.cli") == set()


def test_asking_the_command_for_help_loads_nothing_heavy() -> None:
    ask = """
from edgepress_pipelines.cli import main
sys.argv = ["edgepress", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert heavy_packages_after(ask) == set()


def test_beginning_a_run_leaves_the_engine_to_its_process() -> None:
    assert heavy_packages_after("import edgepress_pipelines.local.run") <= {"boto3"}  # the embedded store asks whether it answers


def test_importing_all_contracts_loads_nothing_heavy() -> None:
    assert len(CONTRACTS) > 5
    assert heavy_packages_after("\n".join(f"import {name}" for name in CONTRACTS)) == set()


@pytest.mark.parametrize("step", [name for name in STEPS if name.endswith(".step")])
def test_importing_a_step_loads_nothing_heavy(step: str) -> None:
    assert heavy_packages_after(f"import {step}") == set()


def test_only_a_saved_model_s_runtime_loads_tensorflow() -> None:
    ask = "from edgepress.runtimes.registry import runtime_version\nassert runtime_version({!r})"
    assert heavy_packages_after(ask.format("tflite")) == set()
    assert "tensorflow" in heavy_packages_after(ask.format("saved_model"))


def test_importing_the_pipeline_function_loads_the_engine_and_nothing_else_heavy() -> None:
    assert heavy_packages_after("import edgepress_pipelines.compress_and_release") <= ENGINE


@pytest.mark.parametrize("command", [name for name in STEPS if name.endswith(".__main__")])
def test_a_step_explains_itself_by_hand(command: str) -> None:
    module = command.removesuffix(".__main__")
    finished = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("usage:")
    assert "TensorFlow" not in finished.stderr
