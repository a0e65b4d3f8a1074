"""Following a run on Kubeflow: its tasks by their events in the object store, its state by KFP's API, its results at the end."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.run import LOG_SUFFIX, LOGS
from edgepress.contracts.verdict import read_verdict
from edgepress.errors import EXIT_FAILED, ConfigError, EdgePressError, IntegrityError, StorageError
from edgepress.task import TaskEvent
from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.flow.outcome import RunOutcome, explain_failure, judged, published_uri
from edgepress_pipelines.flow.plan import PlannedTask, plan_tasks
from edgepress_pipelines.flow.progress import RunProgress
from edgepress_pipelines.flow.workdir import Workdir
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.runs.folder import RunFolder
from edgepress_pipelines.kubeflow.runs.record import RunRecord, read_pipeline, record_of


@dataclass(frozen=True)
class Pace:
    """How often to look, and when to give up.

    Attributes:
        first_poll_s, longest_poll_s: between two looks at the run; the pause grows from the first to the longest.
        lost_limit_s: how long KFP may be away before following ends. The run itself goes on.
        store_retry_s: between two attempts at an object store that cannot be read.
        store_patience_s: how long to wait for the store when the run has ended and its results are fetched.
    """

    first_poll_s: float = 0.5
    longest_poll_s: float = 5.0
    lost_limit_s: float = 900.0
    store_retry_s: float = 30.0
    store_patience_s: float = 120.0


class Follower:
    """One run on its way to its end.

    Args:
        connection: to KFP's API.
        run: as KFP knew it at first.
        workdir: where the run's results go.
        listener: is told of tasks and of whatever is worth knowing.
        pace: how often to look.
    """

    def __init__(self, connection: Connection, run: RunRecord, workdir: Workdir, listener: RunListener, pace: Pace | None = None) -> None:
        self._connection = connection
        self._run = run
        self._workdir = workdir
        self._run_dir = workdir.run_of_cluster(run.run_id)
        self._listener = listener
        self._pace = pace or Pace()
        listener.run_started(run.run_id, f"edgepress runs logs {run.run_id} [TASK]" if run.storage_uri is not None else None)
        tasks = self._plan()
        if tasks:
            listener.run_planned(tasks)
        self._progress = RunProgress(tasks)
        self._folder = self._open_folder()
        self._store_is_readable = True
        self._store_has_answered: bool | None = None  # None: nobody has asked yet
        self._next_look_at_store_s = 0.0

    def follow(self) -> RunOutcome:
        """Wait for the run's end and fetch its results.

        Raises:
            KubeflowError: KFP refuses, or has been away for too long.
            EdgePressError: the credentials could not be read for too long.
            KeyboardInterrupt: interrupted; the run goes on.
        """
        pause_s = self._pace.first_poll_s
        while not self._run.has_ended:
            self._hear_events()
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, self._pace.longest_poll_s)
            self._look()
        return self._outcome()

    def _look(self) -> None:
        """Ask KFP for the run's state, for as long as it takes to get an answer."""
        lost_since_s: float | None = None
        while True:
            try:
                answer = self._connection.runs.run_service_get_run(self._run.run_id)
            except EdgePressError as error:
                may_pass = not isinstance(error, KubeflowError) or error.is_transient  # else a token file, which is being replaced
                now_s = time.monotonic()
                if lost_since_s is None:
                    lost_since_s = now_s
                    if may_pass:
                        self._listener.note(f"{error}; still following, for up to {self._pace.lost_limit_s / 60:.0f} min")
                if not may_pass or now_s - lost_since_s > self._pace.lost_limit_s:
                    raise
                time.sleep(self._pace.longest_poll_s)
                continue
            if lost_since_s is not None:
                self._listener.note(f"{self._connection.host}: answers again")
            before, self._run = self._run, record_of(answer)
            if self._run.state != before.state:
                self._listener.note(f"Kubeflow: {before.state.lower()} -> {self._run.state.lower()}")
            return

    def _hear_events(self) -> None:
        if self._folder is None or time.monotonic() < self._next_look_at_store_s:
            return
        try:
            events = self._folder.new_events(self._listener.note)
        except StorageError as error:
            if self._store_is_readable:
                self._listener.note(f"tasks cannot be followed, only the run's state: {error}")
            self._store_is_readable = False
            self._store_has_answered = self._store_has_answered or False
            self._next_look_at_store_s = time.monotonic() + self._pace.store_retry_s
            return
        self._store_is_readable = self._store_has_answered = True
        self._tell(events)

    def _tell(self, events: Iterable[TaskEvent]) -> None:
        for event in events:
            for told in self._progress.events(event):
                self._listener.task_event(told)

    def _plan(self) -> list[PlannedTask]:
        """The run's tasks, of which a run that is not EdgePress's has none."""
        try:
            pipeline = read_pipeline(self._connection, self._run)
        except KubeflowError as error:
            self._listener.note(f"which tasks are to come is not known: {error}")
            return []
        return plan_tasks(pipeline, self._run.parameters) if pipeline is not None else []

    def _open_folder(self) -> RunFolder | None:
        if self._run.storage_uri is None:
            self._listener.note("tasks cannot be followed, only the run's state: its parameters do not say where its folder is")
            return None
        try:
            return RunFolder(self._run.storage_uri, self._run.run_id)
        except (ConfigError, StorageError) as error:
            self._listener.note(f"tasks cannot be followed, only the run's state: {error}")
            return None

    def _outcome(self) -> RunOutcome:
        run, run_dir = self._run, self._run_dir
        url = self._connection.run_url(run.run_id)
        try:
            has_verdict = self._fetch()
        except StorageError as error:
            again = f"fetch them later with: edgepress runs follow {run.run_id}"
            return self._failed(
                f"the run has ended ({run.state.lower()}), but its results cannot be read from here: {error}; {again}; see {url}"
            )
        try:
            verdict = read_verdict(run_dir) if has_verdict else None
        except IntegrityError as error:
            return self._failed(
                f"the run has ended ({run.state.lower()}), but not with a verdict that can be read here: {error}; see {url}"
            )
        if verdict is not None:
            self._workdir.point_latest_at(run_dir)
        if run.state == "SUCCEEDED" and verdict is not None:
            outcome = judged(verdict, run_dir)
            if verdict.outcome == "passed" and outcome.published_uri is None:
                self._listener.note("the release is published, but where could not be recorded; its task's log tells: logs/release.log")
            return outcome
        if run.state == "SUCCEEDED":
            where = self._folder.uri if self._folder is not None else "its folder"
            return self._failed(f"the run succeeded on Kubeflow, but {where} holds no verdict; see {url}")
        if run.state in ("CANCELED", "SKIPPED"):
            return self._failed(f"the run was stopped on Kubeflow ({run.state.lower()}); see {url}")
        otherwise = f"the run failed on Kubeflow; see {url}"
        logs = run_dir / LOGS
        see = str(logs) if any(logs.glob(f"*{LOG_SUFFIX}")) else url  # a task that was killed leaves no log
        failed_tasks = run.failed_tasks if self._folder is not None else frozenset[str]()  # else silence would mean nothing
        message, exit_code = explain_failure(self._progress, otherwise, see, failed_tasks)
        return RunOutcome(verdict=verdict, run_dir=run_dir, exit_code=exit_code, published_uri=published_uri(run_dir), message=message)

    def _fetch(self) -> bool:
        """Hear what is left to hear and fetch the results; whether there is a verdict."""
        if self._folder is None:
            return False
        if self._store_has_answered is not False:  # one that never did will hardly be reachable from here now
            self._folder.wait_for_store(self._pace.store_patience_s)
        self._tell(self._folder.new_events(self._listener.note))
        return self._folder.fetch(self._run_dir)

    def _failed(self, message: str) -> RunOutcome:
        return RunOutcome(verdict=None, run_dir=self._run_dir, exit_code=EXIT_FAILED, published_uri=None, message=message)


def follow_run(connection: Connection, run: RunRecord, workdir: Path, listener: RunListener, pace: Pace | None = None) -> RunOutcome:
    """Follow a run to its end and fetch its results into ``<workdir>/runs/<run_id>/``; see ``Follower``."""
    return Follower(connection, run, Workdir(workdir), listener, pace).follow()
