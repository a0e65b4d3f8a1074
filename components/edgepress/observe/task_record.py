"""Where a task's events and log are kept: below a run's folder on this machine, or in the object store of a cluster."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from edgepress.contracts.run import event_key, log_key
from edgepress.contracts.task_event import TaskEvent, task_file_name
from edgepress.errors import EdgePressError
from edgepress.observe.best_effort import BestEffort
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.output import output_copied, output_into
from edgepress.storage import ObjectStore, join_key, open_store

EVENTS_NAME = "events.jsonl"
RECORD_TIMEOUT_S = 10.0
"""How long the end of a task waits for its last event and its log to be stored."""

LOG_LIMIT_BYTES = 4 << 20
"""What is stored of a longer log is its end: an hour of progress bars must not take the time that the task's end has for it."""


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
        self._log = run_dir / log_key(task_file_name(identity.task, identity.recipe))

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
    """A cluster run's: objects below ``events/`` and ``logs/`` in the run's folder; ``contracts.run`` names them.

    Best effort: a store that is away or refuses fails no task. The beginning is stored while the task already works; the end waits, at
    most ``RECORD_TIMEOUT_S``.

    Args:
        folder: URI of the run's folder in an object store; empty where there is none, and then only the pod's own log is left.
    """

    def __init__(self, folder: str, identity: TaskIdentity) -> None:
        self._name = task_file_name(identity.task, identity.recipe)
        self._folder = folder
        self._began_unix_time_s = time.time()
        self._problem: str | None = None
        self._store: ObjectStore | None = None
        self._log: Path | None = None
        if not folder:
            return
        try:
            self._store, self._key = open_store(folder)
        except EdgePressError as error:
            self._problem = str(error)
            return
        self._uploads = BestEffort("run record")

    def tell(self, event: TaskEvent) -> None:
        store = self._store
        if store is None:
            return
        key = join_key(self._key, event_key(event, self._began_unix_time_s))
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
            self.tell(event)  # first: how the task ended must not wait for a long log
            if log is not None:
                self._uploads.submit(lambda: store.put_bytes(join_key(self._key, log_key(self._name)), _end_of(log)))
            self._problem = self._uploads.finish(RECORD_TIMEOUT_S) or self._problem
        if log is not None:
            shutil.rmtree(log.parent, ignore_errors=True)
        return None if self._problem is None else f"{self._folder}: events and log of {self._name} may be missing ({self._problem})"


def _end_of(log: Path) -> bytes:
    """A log, or where it is long its last lines after one that says so."""
    with log.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, size_bytes - LOG_LIMIT_BYTES))
        content = file.read(LOG_LIMIT_BYTES)
    if size_bytes <= LOG_LIMIT_BYTES:
        return content
    cut, _, whole_lines = content.partition(b"\n")
    kept = whole_lines or cut
    first = f"[the first {size_bytes - len(kept)} bytes of this log were left out here; the pod's own log has them]\n"
    return first.encode() + kept
