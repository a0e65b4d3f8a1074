"""What every task of a run is told about the run itself."""

from edgepress.contracts.strict import StrictModel


class RunContext(StrictModel):
    """Enters every task's cache key, so it holds only what is the same from run to run of one pipeline.

    Attributes:
        name: the pipeline's; labels its metrics and its releases.
        storage: where a run keeps what outlives its tasks: a working directory, or ``s3://bucket/prefix``. Below it ``state/`` has
            checkpoints of unfinished training, ``ledger/`` the uses of test splits, ``inputs/`` files that were uploaded for a run, by
            digest, and ``runs/<run_id>/`` what a run gives. Empty keeps nothing.
    """

    name: str = ""
    storage: str = ""

    def state(self, recipe: str, stage: str) -> str:
        """Where a stage of a recipe keeps the checkpoints of its training; empty for nowhere. Pipelines of other names keep them apart."""
        return self._below("state", self.name, recipe, stage)

    @property
    def ledger(self) -> str:
        """Where the uses of test splits are counted."""
        return self._below("ledger")

    def _below(self, *parts: str) -> str:
        return "/".join((self.storage.rstrip("/"), *filter(None, parts))) if self.storage else ""
