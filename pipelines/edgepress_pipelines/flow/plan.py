"""The tasks that a run will go through, and what their events say about those that came from the cache."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from edgepress.contracts.stages import STAGES
from edgepress.task import TaskEvent
from edgepress_pipelines.flow.parameters import LEFT_OUT
from edgepress_pipelines.terminal.display import PlannedTask

TaskKey = tuple[str, str | None]
"""A task's name and its recipe (``baseline`` and ``nominee`` for tasks on those; None for tasks of the whole run)."""


def plan_tasks(recipes: Sequence[Mapping[str, str]]) -> list[PlannedTask]:
    """Every task of a run in the order of the flow. A stage that its recipe leaves out is there, not applied.

    Args:
        recipes: the items of the pipeline's loop, as ``parameters.recipe_item`` makes them.
    """
    baseline = [("train", "baseline"), ("convert", "baseline"), ("evaluate", "baseline"), ("evaluate_test", "baseline")]
    gate: list[TaskKey] = [("benchmark", None), ("nominate", None), ("evaluate_test", "nominee"), ("judge", None), ("report", None)]
    tasks = [PlannedTask(task="ingest", recipe=None, applied=True)]
    tasks += [PlannedTask(task=task, recipe=recipe, applied=True) for task, recipe in baseline]
    for recipe in recipes:
        tasks += [PlannedTask(task=stage, recipe=recipe["recipe"], applied=recipe[stage] != LEFT_OUT) for stage in STAGES]
        tasks.append(PlannedTask(task="evaluate", recipe=recipe["recipe"], applied=True))
    tasks += [PlannedTask(task=task, recipe=recipe, applied=True) for task, recipe in gate]
    return [*tasks, PlannedTask(task="release", recipe=None, applied=True)]


class RunProgress:
    """Fills in what the events of a run leave out: a task taken from the cache has none, but what follows it has begun.

    A task that is tried again begins anew after it has failed, so how it stands is what its latest event says.
    """

    def __init__(self, tasks: list[PlannedTask]) -> None:
        self._after = _dependencies([(task.task, task.recipe) for task in tasks])
        self._seen: set[TaskKey] = set()
        self.last: dict[TaskKey, TaskEvent] = {}

    def events(self, event: TaskEvent) -> Iterator[TaskEvent]:
        """The given event, after one event of state ``cached`` for each task it depends on that has had none.

        An event that comes late, after a later one of its task, says nothing any more and is left out.
        """
        key = (event.task, event.recipe)
        if key in self.last and event.unix_time_s < self.last[key].unix_time_s:
            return
        for earlier in self._unseen_before(key):
            self._seen.add(earlier)
            yield TaskEvent(task=earlier[0], recipe=earlier[1], state="cached", unix_time_s=event.unix_time_s)
        self._seen.add(key)
        self.last[key] = event
        yield event

    def failed(self) -> TaskEvent | None:
        """The event of the task that failed first, of those that failed in their last attempt; or None."""
        failures = [event for event in self.last.values() if event.state == "failed"]
        return min(failures, key=lambda event: event.unix_time_s, default=None)

    def unfinished(self) -> list[TaskEvent]:
        """The tasks that began and said nothing since, the newest first: killed from outside, when the run has ended."""
        started = [event for event in self.last.values() if event.state == "started"]
        return sorted(started, key=lambda event: event.unix_time_s, reverse=True)

    def _unseen_before(self, key: TaskKey) -> list[TaskKey]:
        found: list[TaskKey] = []
        waiting = [*self._after.get(key, ())]
        while waiting:
            earlier = waiting.pop()
            if earlier in self._seen or earlier in found:
                continue
            found.append(earlier)
            waiting.extend(self._after.get(earlier, ()))
        return found[::-1]


def _dependencies(tasks: list[TaskKey]) -> dict[TaskKey, list[TaskKey]]:
    after: dict[TaskKey, list[TaskKey]] = {
        ("train", "baseline"): [("ingest", None)],
        ("convert", "baseline"): [("train", "baseline")],
        ("evaluate", "baseline"): [("convert", "baseline")],
        ("evaluate_test", "baseline"): [("convert", "baseline")],
        ("nominate", None): [("benchmark", None), ("evaluate", "baseline")],
        ("evaluate_test", "nominee"): [("nominate", None)],
        ("judge", None): [("evaluate_test", "nominee"), ("evaluate_test", "baseline")],
        ("report", None): [("judge", None)],
        ("release", None): [("judge", None)],
        ("benchmark", None): [("convert", "baseline")],
    }
    recipes = dict.fromkeys(recipe for _, recipe in tasks if recipe not in (None, "baseline", "nominee"))
    for recipe in recipes:
        stages: list[TaskKey] = [(stage, recipe) for stage in (*STAGES, "evaluate")]
        after[stages[0]] = [("train", "baseline")]
        for earlier, later in pairwise(stages):
            after[later] = [earlier]
        after["benchmark", None].append(stages[-1])
    return after
