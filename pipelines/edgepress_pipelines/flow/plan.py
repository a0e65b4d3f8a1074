"""The tasks that a run will go through, read from the compiled pipeline: the graph is written in ``compress_and_release`` alone.

A task is called in the graph as it calls itself in its log and events: ``<task>``, or ``<task>.<recipe>`` where its step works for one
recipe only, such as ``train.baseline``. One that takes its recipe as an input, as those in the loop do, works for what it is given.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgepress_pipelines.flow.parameters import LEFT_OUT

TaskKey = tuple[str, str | None]
"""A task's name and its recipe (``baseline`` and ``nominee`` for tasks on those; None for tasks of the whole run)."""

_ITEM_KEY = re.compile(r'parseJson\(string_value\)\["(\w+)"\]')
_WHATEVER_HAPPENED = "ALL_UPSTREAM_TASKS_COMPLETED"
"""The trigger of an exit handler: it follows tasks that may have failed, or never begun."""


@dataclass(frozen=True)
class PlannedTask:
    """A task that a run is going to go through.

    Attributes:
        task: its name, as in its events.
        recipe: the recipe it works for, ``baseline`` or ``nominee`` for tasks on those, None for a task of the whole run.
        applied: False for a stage that the recipe leaves out: it only passes its model through.
        in_loop: whether it is one of the tasks that each recipe goes through.
        engine_name: KFP's name for it, the same for each recipe.
        after: the tasks that have succeeded when it begins, as far as nothing between them tells.
    """

    task: str
    recipe: str | None
    applied: bool = True
    in_loop: bool = False
    engine_name: str = ""
    after: tuple[TaskKey, ...] = ()

    @property
    def key(self) -> TaskKey:
        """Which task it is."""
        return self.task, self.recipe


def plan_tasks(pipeline: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[PlannedTask]:
    """Every task of a run in the order of the flow. A stage that its recipe leaves out is there, not applied.

    Tasks that are not given the run's ``context`` cannot tell how they go on, so they are left out.

    Args:
        pipeline: the compiled pipeline, a KFP ``PipelineSpec`` as plain data with the names of its JSON form.
        parameters: the run's.
    """
    group = _Group(pipeline.get("components", {}), after=(), in_loop=False)
    return group.plan(pipeline.get("root", {}), parameters)


@dataclass(frozen=True)
class _Group:
    """Reads one group of tasks: the whole run, a loop's body, what depends on a condition.

    Attributes:
        components: of the pipeline, by name.
        after: what the whole group follows.
        in_loop: whether it is the body of a loop, or within one.
    """

    components: Mapping[str, Any]
    after: tuple[TaskKey, ...]
    in_loop: bool

    def plan(self, component: Mapping[str, Any], given: Mapping[str, Any]) -> list[PlannedTask]:
        """The group's tasks; ``given`` are its inputs, as far as they are known before the run."""
        tasks: Mapping[str, Any] = component.get("dag", {}).get("tasks", {})
        ends: dict[str, tuple[TaskKey, ...]] = {}
        planned: list[PlannedTask] = []
        for name in _in_order(tasks):
            earlier = tuple(dict.fromkeys(key for other in _dependencies(tasks, name) for key in ends[other]))
            found = self._plan_task(name, tasks[name], given, earlier or self.after)
            followed = {key for task in found for key in task.after}
            ends[name] = tuple(task.key for task in found if task.key not in followed) or earlier
            planned += found
        return planned

    def _plan_task(self, name: str, task: Mapping[str, Any], given: Mapping[str, Any], after: tuple[TaskKey, ...]) -> list[PlannedTask]:
        component = self.components[task["componentRef"]["name"]]
        inputs = {key: _value(source, given) for key, source in task.get("inputs", {}).get("parameters", {}).items()}
        if "dag" in component:
            iterator = task.get("parameterIterator")
            group = _Group(self.components, after, self.in_loop or iterator is not None)
            rounds = [{}] if iterator is None else _items(iterator, inputs)
            return [planned for item in rounds for planned in group.plan(component, inputs | item)]
        if "context" not in inputs:
            return []
        called, _, recipe = task.get("taskInfo", {}).get("name", name).partition(".")
        if task.get("triggerPolicy", {}).get("strategy") == _WHATEVER_HAPPENED:
            after = ()
        return [
            PlannedTask(
                task=called,
                recipe=recipe or inputs.get("recipe"),
                applied=inputs.get("settings") != LEFT_OUT,
                in_loop=self.in_loop,
                engine_name=name,
                after=after,
            )
        ]


def _items(iterator: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What each round of a loop is given, under the name of its item."""
    items = inputs.get(iterator.get("items", {}).get("inputParameter", ""))
    for item in items if isinstance(items, list) else ():
        yield {iterator["itemInput"]: item}


def _value(source: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The value of a task's parameter; None when it is only known in the run."""
    if "runtimeValue" in source:
        return source["runtimeValue"].get("constant")
    value = given.get(source.get("componentInputParameter", ""))
    key = _ITEM_KEY.fullmatch(source.get("parameterExpressionSelector", ""))
    if key is None:
        return value
    return value.get(key[1]) if isinstance(value, Mapping) else None


def _in_order(tasks: Mapping[str, Any]) -> Sequence[str]:
    """The names of a group's tasks, each after all that it depends on; those that could begin together by what they are called."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(other) for other in _dependencies(tasks, name)), default=0)
        return depths[name]

    return sorted(tasks, key=lambda name: (depth(name), tasks[name].get("taskInfo", {}).get("name", name), name))


def _dependencies(tasks: Mapping[str, Any], name: str) -> Sequence[str]:
    return tasks[name].get("dependentTasks", ())
