"""The plan of a run is what the pipeline function says: of no task of it is there a second list."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

import edgepress
from edgepress.contracts.config import RecipeSettings
from edgepress.contracts.stages import ConvertSettings, PruneSettings
from edgepress.task import TaskEvent
from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.flow.parameters import recipe_item, settings_text
from edgepress_pipelines.flow.plan import PlannedTask, plan_tasks
from edgepress_pipelines.flow.progress import RunProgress

RECIPES = [
    recipe_item(recipe, settings_text)
    for recipe in (RecipeSettings(recipe="float16", convert=ConvertSettings()), RecipeSettings(recipe="pruned", prune=PruneSettings()))
]


def compiled(pipeline: Any) -> dict[str, Any]:
    spec: dict[str, Any] = json_format.MessageToDict(pipeline.pipeline_spec)
    return spec


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "exit-handler"])
def spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    return compiled(build_pipeline(BuildSettings(parallelism=2, run_id="run", exit_handler=request.param)))


def steps_tasks() -> set[str]:
    """What the steps of all rooms call themselves in their logs and events."""
    names = set()
    for path in Path(edgepress.__file__).parent.rglob("step.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "task":
                names.add(ast.literal_eval(node.args[0]))
    return names


def position(plan: list[PlannedTask], task: str, recipe: str | None) -> int:
    return [planned.key for planned in plan].index((task, recipe))


def test_the_plan_has_each_step_by_the_name_of_its_events(spec: dict[str, Any]) -> None:
    planned = {task.task for task in plan_tasks(spec, {"recipes": RECIPES})}
    has_exit_handler = "finish" in spec["root"]["dag"]["tasks"]
    assert planned == steps_tasks() - (set() if has_exit_handler else {"finish"})


def test_every_recipe_goes_through_the_loop_and_passes_through_what_it_leaves_out(spec: dict[str, Any]) -> None:
    plan = plan_tasks(spec, {"recipes": RECIPES})
    loop = {recipe["recipe"]: [task for task in plan if task.in_loop and task.recipe == recipe["recipe"]] for recipe in RECIPES}
    assert len({tuple(task.task for task in tasks) for tasks in loop.values()}) == 1
    assert sum(map(len, loop.values())) == sum(task.in_loop for task in plan)
    assert [task.task for task in loop["float16"] if task.applied] == ["convert", "evaluate"]
    assert [task.task for task in loop["pruned"] if task.applied] == ["prune", "convert", "evaluate"]
    assert all(task.applied for task in plan if not task.in_loop)


def test_tasks_are_planned_after_all_that_they_follow(spec: dict[str, Any]) -> None:
    plan = plan_tasks(spec, {"recipes": RECIPES})
    assert len({task.key for task in plan}) == len(plan)
    assert plan[0].key == ("ingest", None)
    for index, task in enumerate(plan):
        assert all(position(plan, *earlier) < index for earlier in task.after), task
    loop = [index for index, task in enumerate(plan) if task.in_loop]
    assert loop == list(range(loop[0], loop[-1] + 1))
    # What only passes data on is in no plan, so what follows it follows what it followed.
    assert plan[position(plan, "train", "baseline")].after == (("ingest", None),)
    assert {("evaluate", "float16"), ("evaluate", "pruned")} <= {*plan[position(plan, "benchmark", None)].after}


def test_an_item_of_the_loop_holds_what_its_tasks_read(spec: dict[str, Any]) -> None:
    loops = [component for name, component in spec["components"].items() if name.startswith("comp-for-loop")]
    read = set(re.findall(r'parseJson\(string_value\)\["(\w+)"\]', str(loops)))
    assert len(loops) == 1
    assert [set(item) for item in RECIPES] == [read] * len(RECIPES)


@dsl.component(base_image="python", install_kfp_package=False)
def tells(context: str, settings: str = "{}", recipe: str = "", given: str = "") -> str:
    return context


@dsl.component(base_image="python", install_kfp_package=False)
def passes_on(given: str) -> str:
    return given


@dsl.pipeline(name="another")
def another(context: str, recipes: list) -> None:  # type: ignore[type-arg]  # KFP reads the annotation
    last = tells(context=context).set_display_name("last")
    with dsl.ExitHandler(last):
        first = tells(context=context).set_display_name("first.somebody")
        second = passes_on(given=first.output)
        with dsl.ParallelFor(items=recipes) as item:
            inner = tells(context=context, recipe=item.recipe, settings=item.work, given=second.output).set_display_name("work")
            tells(context=context, recipe=item.recipe, given=inner.output).set_display_name("look")
        with dsl.If(second.output == "x"):
            tells(context=context).set_display_name("sometimes")


def test_any_pipeline_is_planned_from_its_graph() -> None:
    plan = plan_tasks(compiled(another), {"recipes": [{"recipe": "a", "work": "null"}, {"recipe": "b", "work": "{}"}]})
    first = (("first", "somebody"),)
    assert plan == [
        PlannedTask("first", "somebody", engine_name="tells-2"),
        PlannedTask("sometimes", None, engine_name="tells-5", after=first),
        PlannedTask("work", "a", applied=False, in_loop=True, engine_name="tells-3", after=first),
        PlannedTask("look", "a", in_loop=True, engine_name="tells-4", after=(("work", "a"),)),
        PlannedTask("work", "b", in_loop=True, engine_name="tells-3", after=first),
        PlannedTask("look", "b", in_loop=True, engine_name="tells-4", after=(("work", "b"),)),
        PlannedTask("last", None, engine_name="tells"),
    ]


@pytest.mark.parametrize("recipes", [None, "x", [], ["x"]])
def test_a_run_of_others_has_a_plan_or_none_but_no_error(recipes: Any) -> None:
    plan = plan_tasks(compiled(another), {"recipes": recipes})
    assert {task.task for task in plan} >= {"first", "last", "sometimes"}
    assert plan_tasks({"root": {"executorLabel": "x"}}, {}) == []


def test_what_a_begun_task_follows_came_from_the_cache_unless_it_said_otherwise(spec: dict[str, Any]) -> None:
    progress = RunProgress(plan_tasks(spec, {"recipes": RECIPES}))
    events = [*progress.events(TaskEvent(task="ingest", recipe=None, state="started", unix_time_s=1.0))]
    events += progress.events(TaskEvent(task="quantize", recipe="pruned", state="started", unix_time_s=2.0))
    told = [(event.task, event.recipe, event.state) for event in events]
    assert told[0] == ("ingest", None, "started")
    assert set(told[1:-1]) == {
        ("train", "baseline", "cached"),
        *((stage, "pruned", "cached") for stage in ("distill", "prune", "cluster")),
    }
    assert told[-1] == ("quantize", "pruned", "started")
    ended = TaskEvent(task="finish", recipe=None, state="started", unix_time_s=3.0)
    assert [*progress.events(ended)] == [ended], "it runs whatever happened, so it says nothing of the others"
