"""What the gate chose on validation data: ``nomination.json``."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edgepress.contracts.candidate import ArtifactKind
from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.verdict import CandidateVerdict, HardwareStatement
from edgepress.errors import IntegrityError

NOMINATION_NAME = "nomination.json"


class Nomination(StrictModel):
    """What ``nomination.json`` holds, bound to the digests of the models, the policy and the dataset.

    Attributes:
        nominee: recipe of the candidate to be judged on test data; None when no candidate is eligible.
        nominee_artifacts: kind -> digest of everything it would ship; empty exactly when ``nominee`` is None.
        baseline_artifacts: the baseline's as found.
        candidates: every recipe, best first: nominated, eligible by rank, ineligible, failed.
    """

    schema_version: Literal[2] = 2
    nominee: str | None
    nominee_artifacts: dict[ArtifactKind, Digest]
    baseline_artifacts: dict[ArtifactKind, Digest]
    dataset_digest: Digest
    policy_digest: Digest
    hardware: HardwareStatement
    candidates: tuple[CandidateVerdict, ...]


def read_nomination(directory: Path) -> Nomination:
    """Read the nomination in a directory.

    Raises:
        IntegrityError: there is no valid nomination.
    """
    path = directory / NOMINATION_NAME
    try:
        return Nomination.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path}: is not a nomination of schema version 2; nominate again") from error
