"""The gate's verdict: ``verdict.json``. Bound to the digests of the artifact, the policy and the dataset."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_serializer

from edgepress.contracts.candidate import ArtifactKind
from edgepress.contracts.digest import Digest
from edgepress.contracts.latency import Hardware
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.strict import StrictModel
from edgepress.errors import IntegrityError
from edgepress.tasks.task import TaskName

VERDICT_NAME = "verdict.json"

Outcome = Literal["passed", "rejected", "inconclusive"]


class HardwareStatement(StrictModel):
    """The hardware that the latencies hold for."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    hardware_class: Annotated[str, Field(alias="class")]
    cpu: str
    runtime: str
    threads: int

    @classmethod
    def of(cls, hardware: Hardware) -> Self:
        """What a verdict says of the machine that was measured on."""
        return cls(hardware_class=hardware.hardware_class, cpu=hardware.cpu, runtime=hardware.runtime, threads=hardware.threads)


class CandidateVerdict(StrictModel):
    """One recipe on validation data. ``reasons`` says why it is not eligible, a sentence each."""

    recipe: str
    outcome: Literal["nominated", "eligible", "ineligible", "failed"]
    model_digest: Digest | None
    reasons: tuple[str, ...]
    metrics: Metrics


class Check(StrictModel):
    """One threshold held against one observation. ``name`` is metric and rule, e.g. ``accuracy.max_drop``."""

    name: str
    observed: float | None
    interval: tuple[float, float] | None = None
    threshold: float | None
    outcome: Outcome
    reason: str


class TargetVerdict(StrictModel):
    """The nominee judged for one target on test data.

    Attributes:
        policy: whose thresholds were held against the metrics, so that whoever has the verdict can do it again.
    """

    channel: str
    artifact: ArtifactKind
    digest: Digest
    policy: GateSettings
    policy_digest: Digest
    outcome: Outcome
    metrics: Metrics
    checks: tuple[Check, ...]

    @field_serializer("policy")
    def _only_what_is_set(self, policy: GateSettings) -> dict[str, Any]:
        return policy.model_dump(mode="json", exclude_none=True)


class ModelMetrics(StrictModel):
    """Metrics of a model that candidates are compared with, on test data."""

    metrics: Metrics


class Verdict(StrictModel):
    """What ``verdict.json`` holds.

    Attributes:
        task: the kind of learning task, which says what the metrics mean.
    """

    schema_version: Literal[1] = 1
    outcome: Outcome
    task: TaskName
    nominee: str | None
    dataset_digest: Digest
    test_split_uses: int
    hardware: HardwareStatement
    candidates: tuple[CandidateVerdict, ...]
    targets: tuple[TargetVerdict, ...]
    baseline: ModelMetrics
    champion: ModelMetrics | None = None


def read_verdict(directory: Path) -> Verdict:
    """Read the verdict in a directory.

    Raises:
        IntegrityError: there is no valid verdict.
    """
    path = directory / VERDICT_NAME
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path}: is not a verdict of schema version 1") from error
