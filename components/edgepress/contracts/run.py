"""What every task of a run is told about the run itself, and what is recorded of its end."""

from typing import Literal

from edgepress.contracts.strict import StrictModel

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
        """Where a stage of a recipe keeps the checkpoints of its training, each under the training's fingerprint; empty for nowhere."""
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
        return self._below("runs", run_id)


FINISHED_NAME = "finished.json"
"""In a run's folder, written by the exit handler: the last word on a run, whatever happened in it."""


class RunEnd(StrictModel):
    """How a run ended, as KFP told its exit handler.

    Attributes:
        state: ``unknown`` when KFP had not settled it yet, e.g. a loop that still counted as running.
        engine_state: KFP's own word for it.
        message: KFP's reason; None when it gives none.
        unix_time_s: when it was recorded.
    """

    schema_version: Literal[1] = 1
    name: str
    run_id: str
    state: Literal["succeeded", "failed", "stopped", "unknown"]
    engine_state: str
    message: str | None
    unix_time_s: float
