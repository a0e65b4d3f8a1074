"""A run that has been submitted to KFP's stand-in, and somebody who listens while it is followed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.task import TaskEvent
from edgepress_pipelines.flow.outcome import RunOutcome
from edgepress_pipelines.flow.plan import PlannedTask
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.runs.follow import Pace, follow_run
from edgepress_pipelines.kubeflow.runs.record import RunRecord, read_run
from edgepress_pipelines.kubeflow.runs.submit import submit_run
from tests.kfp_api.server import KfpServer
from tests.pipelines.cluster_project import RunOnCluster, connect, package_of, read_config

PACE = Pace(first_poll_s=0.01, longest_poll_s=0.02, lost_limit_s=60.0, store_retry_s=0.02)


@dataclass
class Listener:
    """Notes what it hears, and lets the run go on when it has heard enough.

    Attributes:
        steps: what happens next, each after a word that is waited for; the word is a note's part, or ``task.recipe state``.
    """

    steps: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def run_started(self, run_id: str, logs: str | None) -> None:
        self._hear(f"run {run_id}; logs: {logs}")

    def run_planned(self, tasks: Sequence[PlannedTask]) -> None:
        self._hear(f"{len(tasks)} tasks planned")

    def task_event(self, event: TaskEvent) -> None:
        self._hear(f"{event.task}.{event.recipe} {event.state}")

    def note(self, text: str) -> None:
        self._hear(text)

    def _hear(self, text: str) -> None:
        self.heard.append(text)
        if self.steps and self.steps[0][0] in text:
            self.steps.pop(0)[1]()


@dataclass
class Submitted:
    """A run that has been submitted, with its folder in a local store."""

    kfp: KfpServer
    run: RunRecord
    tasks: RunOnCluster
    workdir: Path

    def goes(self, state: str) -> Callable[[], None]:
        return lambda: self.kfp.state.set_state(self.run.run_id, state)

    def follow(self, *steps: tuple[str, Callable[[], None]], pace: Pace = PACE) -> tuple[RunOutcome, list[str]]:
        listener = Listener(steps=list(steps))
        outcome = follow_run(connect(self.kfp), self.run, self.workdir, listener, pace)
        assert listener.steps == [], f"never heard {listener.steps[0][0]!r}"
        return outcome, listener.heard

    def ends(self, kind: str) -> Callable[[], None]:
        def end() -> None:
            self.tasks.finish(kind)
            self.goes("SUCCEEDED")()

        return end


def submit(kfp: KfpServer, folder: Path, storage: str) -> Submitted:
    config = read_config(folder)
    package = package_of(config)
    parameters: Any = package.parameters | {"context": f'{{"name": "digits", "storage": "{storage}"}}'}
    submitted = submit_run(config, connect(kfp), Package(pipeline=package.pipeline, parameters=parameters))
    run = read_run(connect(kfp), submitted.run_id)
    return Submitted(kfp, run, RunOnCluster(storage, run.run_id), folder / "work")
