"""A run's folder in the object store: its events while it goes on, its results afterwards."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from edgepress.contracts.run import EVENTS, LOG_SUFFIX, LOGS, log_key, run_key
from edgepress.contracts.verdict import VERDICT_NAME, Verdict
from edgepress.errors import InputError, IntegrityError
from edgepress.storage import join_key, join_uri, open_store
from edgepress.storage.folder import files_below
from edgepress.task import TaskEvent


class RunFolder:
    """``<storage>/runs/<run_id>/``. Every method raises ``StorageError`` when the store cannot be read.

    Args:
        storage_uri: ``s3://bucket/prefix``, or a local path.
        run_id: the run's identifier.

    Raises:
        ConfigError: the URI names no store.
    """

    def __init__(self, storage_uri: str, run_id: str) -> None:
        self._storage_uri = storage_uri
        self._store, prefix = open_store(storage_uri)
        self._key = join_key(prefix, run_key(run_id))
        self.uri = join_uri(storage_uri, run_key(run_id))
        self._read: set[str] = set()
        self._undelivered: list[TaskEvent] = []

    def wait_for_store(self, patience_s: float) -> None:
        """From now on, wait so long for a store that cannot be reached or is overloaded, in each operation."""
        self._store, _ = open_store(self._storage_uri, patience_s=patience_s)

    def new_events(self, tell: Callable[[str], None]) -> list[TaskEvent]:
        """The events that were written since the last call that succeeded, oldest first.

        Args:
            tell: is given one line about each event that cannot be understood, once.
        """
        for name, key in self._files(EVENTS).items():
            if not name.endswith(".json") or key in self._read:
                continue
            content = self._store.get_bytes(key)  # an error leaves this one, and those read before it, to the next call
            self._read.add(key)
            try:
                self._undelivered.append(TaskEvent.model_validate_json(content))
            except ValidationError:
                tell(f"{self.uri}/{EVENTS}: {name} is not an event that this release of EdgePress can read")
        delivered, self._undelivered = sorted(self._undelivered, key=lambda event: event.unix_time_s), []
        return delivered

    def verdict(self) -> Verdict | None:
        """The run's verdict; None when it has reached none.

        Raises:
            IntegrityError: there is one that this release of EdgePress did not write and cannot read.
        """
        key = f"{self._key}/{VERDICT_NAME}"
        if not self._store.exists(key):
            return None
        try:
            return Verdict.model_validate_json(self._store.get_bytes(key))
        except ValidationError as error:
            raise IntegrityError(f"{self.uri}/{VERDICT_NAME} was not written by this release of EdgePress and cannot be read") from error

    def fetch(self, run_dir: Path) -> bool:
        """Copy everything but the events into a local folder, the verdict last.

        Returns:
            whether there is a verdict.
        """
        files = {name: key for name, key in self._files().items() if not name.startswith(f"{EVENTS}/")}
        for name in sorted(files, key=lambda name: name == VERDICT_NAME):
            path = run_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.download_file(files[name], path)
        return VERDICT_NAME in files

    def log_names(self) -> list[str]:
        """``<task>`` and ``<task>.<recipe>`` of every log, sorted."""
        return sorted(name.removesuffix(LOG_SUFFIX) for name in self._files(LOGS) if name.endswith(LOG_SUFFIX) and "/" not in name)

    def read_log(self, name: str) -> str:
        """One log's text.

        Args:
            name: ``<task>.<recipe>``, or ``<task>`` alone where that has one log.

        Raises:
            InputError: there is no log of this name, or the task has several.
        """
        there = self.log_names()
        of_task = [log for log in there if log.startswith(f"{name}.")]
        if name in there or len(of_task) == 1:
            found = name if name in there else of_task[0]
            return self._store.get_bytes(join_key(self._key, log_key(found))).decode(errors="replace")
        if of_task:
            raise InputError(f"task {name} has a log for each recipe; give one of: {', '.join(of_task)}")
        known = f"there are: {', '.join(there)}" if there else "no task has written one yet"
        raise InputError(f"{self.uri}/{LOGS}: there is no log of {name!r}; {known}")

    def _files(self, below: str = "") -> dict[str, str]:
        """Path relative to the run's folder, or a folder of it, -> key."""
        return files_below(self._store, join_key(self._key, below), self.uri)
