"""Where a task's events and log are kept: below a run's folder on this machine, or in the object store of a cluster."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from edgepress.contracts.task_event import TaskEvent, task_file_name
from edgepress.errors import EdgePressError
from edgepress.observe.best_effort import BestEffort
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.output import output_copied, output_into
from edgepress.storage import ObjectStore, join_key, open_store

EVENTS_NAME = "events.jsonl"
RECORD_TIMEOUT_S = 10.0
"""How long the end of a task waits for its log and last event to be stored."""


class TaskRecord(Protocol):
    """What is kept of one task: ``tell`` its beginning, let it write within ``output``, ``end`` it."""

    def tell(self, event: TaskEvent) -> None:
        """Keep an event."""

    def output(self) -> AbstractContextManager[None]:
        """Keep what is written to standard output and error within the context."""

    def end(self, event: TaskEvent) -> str | None:
        """Keep the output and the last event; returns why that failed, in one line, where a task must not fail of it."""


class FolderRecord:
    """A local run's: ``events.jsonl`` and ``logs/`` in the run's folder, where alone the output goes. A full disk is an error."""

    def __init__(self, run_dir: Path, identity: TaskIdentity) -> None:
        self._run_dir = run_dir
        self._log = run_dir / "logs" / f"{task_file_name(identity.task, identity.recipe)}.log"

    def tell(self, event: TaskEvent) -> None:
        # A single write to a file opened for appending, so tasks that run in parallel do not mix their lines.
        line = json.dumps(event.model_dump(mode="json")) + "\n"
        descriptor = os.open(self._run_dir / EVENTS_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def output(self) -> AbstractContextManager[None]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        return output_into(self._log)

    def end(self, event: TaskEvent) -> str | None:
        self.tell(event)
        return None


class StoreRecord:
    """A cluster run's: objects ``events/<task>[.<recipe>].<state>.json`` and ``logs/<task>[.<recipe>].log`` in the run's folder.

    Best effort: a store that is away or refuses fails no task. The beginning is stored while the task already works; the end waits, at
    most ``RECORD_TIMEOUT_S``.

    Args:
        storage: URI of the object store; empty where there is none, and then only the pod's own log is left.
    """

    def __init__(self, storage: str, identity: TaskIdentity) -> None:
        self._name = task_file_name(identity.task, identity.recipe)
        self._where = f"{storage.rstrip('/')}/runs/{identity.run_id}"
        self._problem: str | None = None
        self._store: ObjectStore | None = None
        self._log: Path | None = None
        if not storage:
            return
        try:
            self._store, prefix = open_store(storage)
        except EdgePressError as error:
            self._problem = str(error)
            return
        self._key = join_key(prefix, "runs", identity.run_id)
        self._uploads = BestEffort("run record")

    def tell(self, event: TaskEvent) -> None:
        store = self._store
        if store is None:
            return
        key = join_key(self._key, "events", f"{self._name}.{event.state}.json")
        self._uploads.submit(lambda: store.put_bytes(key, event.model_dump_json().encode()))

    @contextmanager
    def output(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._store is not None:
                try:
                    self._log = Path(tempfile.mkdtemp(prefix="edgepress-log-")) / f"{self._name}.log"
                    stack.enter_context(output_copied(self._log))
                except OSError as error:
                    self._log, self._problem = None, f"the log cannot be kept here: {error.strerror}"
            yield

    def end(self, event: TaskEvent) -> str | None:
        store, log = self._store, self._log
        if store is not None:
            if log is not None:  # before the event, so that whoever sees it can read the log
                self._uploads.submit(lambda: store.put_file(join_key(self._key, "logs", log.name), log))
            self.tell(event)
            self._problem = self._uploads.finish(RECORD_TIMEOUT_S) or self._problem
        if log is not None:
            shutil.rmtree(log.parent, ignore_errors=True)
        return None if self._problem is None else f"{self._where}: events and log of {self._name} may be missing ({self._problem})"
