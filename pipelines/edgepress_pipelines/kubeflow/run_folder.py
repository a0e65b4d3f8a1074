"""A run's folder in the object store: its events while it goes on, its results afterwards."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from edgepress.contracts.verdict import VERDICT_NAME, Verdict
from edgepress.errors import InputError, StorageError
from edgepress.storage import ObjectStore, join_key, open_store
from edgepress.task import TaskEvent

EVENTS = "events"
LOGS = "logs"


class RunFolder:
    """``<storage>/runs/<run_id>/``. Every method raises ``StorageError`` when the store cannot be read.

    Args:
        storage_uri: ``s3://bucket/prefix``, or a local path.
        run_id: the run's identifier.

    Raises:
        ConfigError: the URI names no store.
    """

    def __init__(self, storage_uri: str, run_id: str) -> None:
        store, prefix = open_store(storage_uri)
        self._store: ObjectStore = store
        self._key = join_key(prefix, "runs", run_id)
        self.uri = f"{storage_uri.rstrip('/')}/runs/{run_id}"
        self._seen: set[str] = set()

    def new_events(self) -> list[TaskEvent]:
        """The events that were written since the last call, oldest first."""
        keys = [key for key in self._store.list_keys(f"{self._key}/{EVENTS}/") if key.endswith(".json") and key not in self._seen]
        events = []
        for key in keys:
            try:
                events.append(TaskEvent.model_validate_json(self._store.get_bytes(key)))
            except ValidationError as error:
                raise StorageError(f"{self.uri}: {key} is not an event that this release of EdgePress can read") from error
            finally:
                self._seen.add(key)
        return sorted(events, key=lambda event: event.unix_time_s)

    def verdict(self) -> Verdict | None:
        """The run's verdict; None when it has reached none."""
        key = f"{self._key}/{VERDICT_NAME}"
        if not self._store.exists(key):
            return None
        try:
            return Verdict.model_validate_json(self._store.get_bytes(key))
        except ValidationError as error:
            raise StorageError(f"{self.uri}: {VERDICT_NAME} is none that this release of EdgePress can read") from error

    def fetch(self, run_dir: Path) -> bool:
        """Copy everything but the events into a local folder, the verdict last.

        Returns:
            whether there is a verdict.
        """
        names = [name for name in self._names() if PurePosixPath(name).parts[0] != EVENTS]
        for name in sorted(names, key=lambda name: name == VERDICT_NAME):
            path = run_dir / name
            if not path.resolve().is_relative_to(run_dir.resolve()):
                raise StorageError(f"{self.uri}: the key {name!r} leads out of the run's folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.download_file(f"{self._key}/{name}", path)
        return VERDICT_NAME in names

    def log_names(self) -> list[str]:
        """``<task>`` and ``<task>.<recipe>`` of every log, sorted."""
        names = [PurePosixPath(name) for name in self._names(f"{LOGS}/")]
        return sorted(name.name.removesuffix(".log") for name in names if len(name.parts) == 2 and name.suffix == ".log")

    def read_log(self, name: str) -> str:
        """One log's text.

        Raises:
            InputError: there is no log of this name.
        """
        there = self.log_names()
        if name in there:
            return self._store.get_bytes(f"{self._key}/{LOGS}/{name}.log").decode(errors="replace")
        of_task = [log for log in there if log.startswith(f"{name}.")]
        if of_task:
            raise InputError(f"task {name} has a log for each recipe; give one of: {', '.join(of_task)}")
        known = f"there are: {', '.join(there)}" if there else "no task has written one yet"
        raise InputError(f"{self.uri}/{LOGS}: there is no log of {name!r}; {known}")

    def _names(self, below: str = "") -> Iterator[str]:
        """Keys relative to the run's folder."""
        prefix = f"{self._key}/"
        return (key.removeprefix(prefix) for key in self._store.list_keys(f"{prefix}{below}"))
