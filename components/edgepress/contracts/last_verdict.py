"""What a run was computed from, and where a pipeline's newest verdict says so: what ``edgepress trigger`` compares.

Below a cluster's storage, ``verdicts/<name>.json`` holds one :class:`LastVerdict`, written by the report task of each run that reached a
verdict.
"""

from typing import Literal, Self

from pydantic import ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.verdict import Outcome


class Fingerprint(StrictModel):
    """Everything that a verdict follows from, as three digests, so that whoever finds a difference can say where it is.

    Attributes:
        dataset: of the source's content.
        code: of the images that the tasks run in and the pipeline that strings them together.
        config: of the configuration, the user's module and the adopted model included, as far as it can change a result.
    """

    dataset: Digest
    code: Digest
    config: Digest

    def as_parameter(self) -> str:
        """The text of the pipeline's parameter ``fingerprint``; the same digests always give the same text."""
        return self.model_dump_json()

    @classmethod
    def from_parameter(cls, text: str) -> Self | None:
        """Read the pipeline's parameter; None for a run that was started without one, or by a release that wrote it differently."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def differences(self, earlier: "Fingerprint") -> tuple[str, ...]:
        """Which parts differ, in the words of a sentence: "the dataset", "the code", "the configuration"."""
        parts = (
            ("the dataset", self.dataset, earlier.dataset),
            ("the code", self.code, earlier.code),
            ("the configuration", self.config, earlier.config),
        )
        return tuple(words for words, now, before in parts if now != before)


class LastVerdict(StrictModel):
    """The newest verdict of one pipeline.

    Attributes:
        run_id: of the run that gave it; its folder is ``runs/<run_id>``.
        fingerprint: what that run was computed from; None when it was started without one.
        outcome: of the verdict.
    """

    schema_version: Literal[1] = 1
    run_id: str
    fingerprint: Fingerprint | None
    outcome: Outcome


def last_verdict_key(name: str) -> str:
    """Key of a pipeline's newest verdict below the storage's prefix."""
    return f"verdicts/{name}.json"
