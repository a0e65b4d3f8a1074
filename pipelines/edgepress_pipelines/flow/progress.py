"""How far a run has come, by the events of its tasks, and what these leave out."""

from collections.abc import Iterator, Sequence, Set

from edgepress.task import TaskEvent
from edgepress_pipelines.flow.plan import PlannedTask, TaskKey


class RunProgress:
    """Fills in what the events of a run leave out: a task taken from the cache has none, but what follows it has begun.

    A task that is tried again begins anew after it has failed, so how it stands is what its latest event says.
    """

    def __init__(self, tasks: Sequence[PlannedTask]) -> None:
        self._planned = {task.key: task for task in tasks}
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

    def unheard(self, engine_names: Set[str]) -> list[PlannedTask]:
        """Of the tasks that KFP calls so, those that have told nothing, in the order of the flow."""
        return [task for task in self._planned.values() if task.engine_name in engine_names and task.key not in self.last]

    def engine_name(self, event: TaskEvent) -> str | None:
        """What KFP calls the task of an event; None for one that is not in the plan."""
        planned = self._planned.get((event.task, event.recipe))
        return planned.engine_name if planned is not None else None

    def _unseen_before(self, key: TaskKey) -> list[TaskKey]:
        found: list[TaskKey] = []
        waiting = [*self._after(key)]
        while waiting:
            earlier = waiting.pop()
            if earlier in self._seen or earlier in found:
                continue
            found.append(earlier)
            waiting.extend(self._after(earlier))
        return found[::-1]

    def _after(self, key: TaskKey) -> Sequence[TaskKey]:
        return self._planned[key].after if key in self._planned else ()
