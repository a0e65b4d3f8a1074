"""The gate's verdict: ``verdict.json``. Bound to the digests of the artifact, the policy and the dataset."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from edgepress.contracts.digest import Digest
from edgepress.contracts.evaluation import EvaluationMetrics
from edgepress.contracts.latency import Hardware, Latency
from edgepress.contracts.strict import StrictModel
from edgepress.errors import IntegrityError

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


class Metrics(StrictModel):
    """Every metric of one model; None where it was not measured. Units are in the names.

    Attributes:
        accuracy_drop: the baseline's accuracy less this model's on the same split; negative when this model is better.
        latency_ratio: median over the benchmark's rounds of (median latency / baseline's median latency).
    The others are as :class:`EvaluationMetrics` and :class:`Latency` have them.
    """

    accuracy: float | None = None
    accuracy_drop: float | None = None
    agreement: float | None = None
    size_bytes: int | None = None
    size_gzip_bytes: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    latency_ratio: float | None = None
    parameters: int | None = None
    macs: int | None = None
    sparsity: float | None = None

    @classmethod
    def measured(cls, evaluation: EvaluationMetrics | None, latency: Latency | None, baseline: EvaluationMetrics | None) -> Self:
        """Bring together what was measured of one model; ``baseline`` is the baseline's evaluation on the same split."""
        values: dict[str, float | None] = {}
        if evaluation is not None:
            values = {name: value for name, value in evaluation.model_dump().items() if name in cls.model_fields}
            if baseline is not None:
                values["accuracy_drop"] = accuracy_drop(evaluation.accuracy, baseline.accuracy)
        if latency is not None:
            values |= {
                "latency_p50_ms": latency.latency_p50_ms,
                "latency_p95_ms": latency.latency_p95_ms,
                "latency_p99_ms": latency.latency_p99_ms,
                "latency_ratio": latency.ratio_to_baseline,
            }
        return cls.model_validate(values)


def accuracy_drop(accuracy: float, baseline_accuracy: float) -> float:
    """Accuracy lost against the baseline, rounded to 12 decimals.

    An accuracy is a count over fewer than 10^9 examples, so the rounding takes away nothing but the error of subtracting binary
    fractions: 0.91 - 0.90 is 0.01, and a drop of exactly ``max_drop`` holds.
    """
    return round(baseline_accuracy - accuracy, 12)


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
    """The nominee judged for one target on test data."""

    channel: str
    artifact: Literal["tflite", "saved_model"]
    digest: Digest
    policy_digest: Digest
    outcome: Outcome
    metrics: Metrics
    checks: tuple[Check, ...]


class ModelMetrics(StrictModel):
    """Metrics of a model that candidates are compared with, on test data."""

    metrics: Metrics


class Verdict(StrictModel):
    """What ``verdict.json`` holds."""

    schema_version: Literal[1] = 1
    outcome: Outcome
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
