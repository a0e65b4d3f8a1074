"""What every task of a run is told about the run itself, and where a run's folder has what.

runs/<run_id>/                                                 what a run gives
runs/<run_id>/logs/<task>[.<recipe>].log                       of the task's last attempt
runs/<run_id>/events/<task>[.<recipe>].<began>.<state>.json    on a cluster: what tasks tell while the run goes on

``<began>`` is when the attempt at the task began, in milliseconds since 1970: an attempt never writes over what another has told.
"""

from edgepress.contracts.strict import StrictModel
from edgepress.contracts.task_event import TaskEvent, task_file_name

RUNS = "runs"
EVENTS = "events"
LOGS = "logs"
LOG_SUFFIX = ".log"


def run_key(run_id: str) -> str:
    """A run's folder, below the storage."""
    return f"{RUNS}/{run_id}"


def event_key(event: TaskEvent, began_unix_time_s: float) -> str:
    """An event, below the run's folder.

    Args:
        began_unix_time_s: when the attempt at the task began.
    """
    return f"{EVENTS}/{task_file_name(event.task, event.recipe)}.{began_unix_time_s * 1000:.0f}.{event.state}.json"


def log_key(name: str) -> str:
    """A task's log, below the run's folder; the name is that of ``task_file_name``."""
    return f"{LOGS}/{name}{LOG_SUFFIX}"


CODE_DIGEST_VARIABLE = "EDGEPRESS_CODE_DIGEST"
"""Environment variable in which an engine tells a task the digest of the code that it runs."""


class RunContext(StrictModel):
    """Enters every task's cache key, so it holds only what is the same from run to run of one pipeline.

    Attributes:
        name: the pipeline's; labels its metrics and its releases.
        storage: where a run keeps what outlives its tasks: a working directory, or ``s3://bucket/prefix``. Below it ``state/`` has
            checkpoints of training, ``ledger/`` the uses of test splits, ``datasets/`` what was ingested, ``inputs/`` files that
            were uploaded for a run, both by digest, and ``runs/<run_id>/`` what a run gives. Empty keeps nothing.
    """

    name: str = ""
    storage: str = ""

    def state(self, recipe: str, stage: str) -> str:
        """Where a stage of a recipe keeps the checkpoints of its training, each under its training key; empty for nowhere."""
        return self._below("state", self.name, recipe, stage)

    @property
    def datasets(self) -> str:
        """Where ingested datasets are kept, each under its digest; empty for nowhere."""
        return self._below("datasets")

    @property
    def ledger(self) -> str:
        """Where the uses of test splits are counted."""
        return self._below("ledger")

    @property
    def object_storage(self) -> str:
        """``storage`` where it is an object store; empty for a working directory, which the local command fills itself."""
        return self.storage if self.storage.startswith("s3://") else ""

    def _below(self, *parts: str) -> str:
        return "/".join((self.storage.rstrip("/"), *filter(None, parts))) if self.storage else ""

    def folder(self, run_id: str) -> str:
        """Where a run's results are kept; empty for nowhere."""
        return self._below(run_key(run_id))
