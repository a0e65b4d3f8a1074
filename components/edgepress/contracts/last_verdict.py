"""What a run was computed from, and where a pipeline's newest verdict says so: what ``edgepress trigger`` compares.

Below a cluster's storage, ``verdicts/<name>.json`` holds one :class:`LastVerdict`: of all runs that reached a verdict the one that started
last. The report task writes it.
"""

from typing import Literal, Self

from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.verdict import Outcome


class Fingerprint(StrictModel):
    """Everything that a verdict follows from, as three digests, so that whoever finds a difference can say where it is.

    Attributes:
        code: of the compiled pipeline: the images that tasks run in, the graph that strings them together, and what their pods get.
        configuration: of the configuration, the user's module and the adopted model included, as far as it can change a result.
        dataset: of the source's content; None where it was not looked at, e.g. by a schedule, whose runs will find what there is then.
    """

    code: Digest
    configuration: Digest
    dataset: Digest | None = None

    def as_parameter(self) -> str:
        """The text of the pipeline's parameter ``fingerprint``; the same digests always give the same text."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def from_parameter(cls, text: str) -> Self | None:
        """Read the pipeline's parameter; None for a run that was started without one, or by a release that wrote it differently."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def of_dataset(self, dataset: Digest) -> Self:
        """The same with what the run itself saw of the source."""
        return self.model_copy(update={"dataset": dataset})

    def differences(self, earlier: "Fingerprint") -> tuple[str, ...]:
        """Which parts differ, in the words of a sentence: "the dataset", "the compiled pipeline", "the configuration"."""
        parts = (
            ("the dataset", self.dataset, earlier.dataset),
            ("the compiled pipeline", self.code, earlier.code),
            ("the configuration", self.configuration, earlier.configuration),
        )
        return tuple(words for words, now, before in parts if now != before)


class SeenSource(StrictModel):
    """What a run found at its source: ingest hands it to the report, as JSON.

    Attributes:
        digest: of the source's content where it lies.
        unix_time_s: when ingest began to look, before it read anything. It tells which of two runs saw the newer data, and stays the same
            when a later task of the run is tried again.
    """

    digest: Digest
    unix_time_s: float


class LastVerdict(StrictModel):
    """The newest verdict of one pipeline.

    Attributes:
        run_id: of the run that gave it; its folder is ``runs/<run_id>``.
        started_unix_s: when that run looked at its source.
        fingerprint: what that run was computed from, the dataset included; None when it was started without one.
        outcome: of the verdict.
    """

    schema_version: Literal[2] = 2
    run_id: str
    started_unix_s: float
    fingerprint: Fingerprint | None
    outcome: Outcome


def last_verdict_key(name: str) -> str:
    """Key of a pipeline's newest verdict below the storage's prefix."""
    return f"verdicts/{name}.json"
