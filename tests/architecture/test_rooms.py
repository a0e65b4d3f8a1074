"""How rooms, files and steps are laid out, as far as neither ruff nor import-linter can say it."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, SOURCE_ROOTS, read_modules, step_rooms

MODULES = read_modules()
ROOMS = step_rooms(MODULES)
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "executor"}
MAX_LINES = 400


def python_files() -> list[Path]:
    return sorted(path for root in (*SOURCE_ROOTS, ROOT / "tests") for path in root.rglob("*.py"))


def functions_of(module: str) -> list[ast.FunctionDef]:
    tree = ast.parse(MODULES[module].path.read_text())
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def decorators_of(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Decorators by their name: ``@task("x")`` is ``task``, ``@dsl.component(…)`` is ``dsl.component``."""
    return {ast.unparse(node.func if isinstance(node, ast.Call) else node): node for node in function.decorator_list}


def test_there_are_rooms() -> None:
    assert {"edgepress.ingest", "edgepress.train", "edgepress.compress.prune", "edgepress.gate"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_a_step_has_its_three_doors(room: str) -> None:
    assert [f"{room}.{door}" for door in ("step", "__main__", "component") if f"{room}.{door}" not in MODULES] == []


def test_every_step_has_its_room() -> None:
    found = {name.rpartition(".")[0] for name in MODULES if name.startswith("edgepress.") and name.endswith((".step", ".__main__"))}
    assert found <= set(ROOMS)


@pytest.mark.parametrize("room", [room for room in ROOMS if f"{room}.step" in MODULES])
def test_a_step_is_a_task_with_keyword_arguments_that_it_explains(room: str) -> None:
    steps = [function for function in functions_of(f"{room}.step") if "task" in decorators_of(function)]
    assert steps, "step.py declares no function with @task"
    for step in steps:
        assert not step.args.args
        assert not step.args.posonlyargs, f"{step.name}: arguments are given by keyword only"
        docstring = ast.get_docstring(step) or ""
        explained = docstring.partition("Args:")[2]
        missing = [argument.arg for argument in step.args.kwonlyargs if not re.search(rf"\b{argument.arg}\b.*:", explained)]
        assert missing == [], f"{step.name}: its docstring's Args section leaves these out"


@pytest.mark.parametrize("room", ROOMS)
def test_a_declaration_calls_its_room_s_step_and_decides_nothing(room: str) -> None:
    name = f"{room}.component"
    source = MODULES[name].path.read_text()
    assert "from __future__ import annotations" not in source, "KFP cannot read annotations that are text"
    assert {imported for imported in MODULES[name].imports if imported.endswith(".step")} == {f"{room}.step"}
    components = [function for function in functions_of(name) if "dsl.component" in decorators_of(function)]
    assert components
    for component in components:
        # Without this, pip would run at the start of every task.
        assert "install_kfp_package=False" in ast.unparse(decorators_of(component)["dsl.component"])
        decisions = (ast.For, ast.While, ast.Try, ast.With, ast.FunctionDef)
        inside = [type(node).__name__ for node in ast.walk(component) if isinstance(node, decisions) and node is not component]
        assert inside == [], f"{component.name}: belongs into {room}.step"


def test_no_name_is_vague() -> None:
    roots = (*SOURCE_ROOTS, ROOT / "tests")
    names = {part: path for root in roots for path in root.rglob("*.py") for part in path.relative_to(root).with_suffix("").parts}
    assert {name: str(path) for name, path in names.items() if VAGUE_NAMES & set(name.split("_"))} == {}


def test_files_stay_readable() -> None:
    long = {str(path.relative_to(ROOT)) for path in python_files() if len(path.read_text().splitlines()) > MAX_LINES}
    assert long == set(), f"longer than {MAX_LINES} lines"


def test_no_path_hacks() -> None:
    hack = re.compile(r"sys\.path\.(append|insert|extend)")
    assert [str(path) for path in python_files() if hack.search(path.read_text()) and path != Path(__file__)] == []


WITHOUT_PATIENCE = {
    "edgepress.models.source": "digests a model for the command at a terminal, which is better told at once",
    "edgepress.observe.task_record": "no task fails or waits for its record",
    "edgepress.train.checkpoint": "a training goes on without this epoch's state; it is read with patience",
}
"""Module of components/ -> why it may open a store that gives up at once."""


def test_what_a_task_reads_and_writes_outlasts_a_store_that_is_away() -> None:
    impatient = {f"edgepress.storage{module}.{name}" for module in ("", ".opening") for name in ("open_store", "open_object")}
    rooms = {name: module for name, module in MODULES.items() if name.startswith("edgepress.") and not name.startswith("edgepress.storage")}
    assert {name for name, module in rooms.items() if module.imports & impatient} == set(WITHOUT_PATIENCE), "use open_store_for_task"
