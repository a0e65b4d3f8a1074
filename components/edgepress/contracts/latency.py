"""What the benchmark measured: ``benchmark.json``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edgepress.contracts.candidate import ArtifactKind
from edgepress.contracts.digest import Digest
from edgepress.contracts.policy import Positive
from edgepress.contracts.strict import StrictModel
from edgepress.errors import IntegrityError
from edgepress.tasks.comparisons import LATENCY_RATIO
from edgepress.tasks.registry import LATENCY_P50_MS, LATENCY_P95_MS, LATENCY_P99_MS, PEAK_MEMORY_BYTES

BENCHMARK_NAME = "benchmark.json"


class Hardware(StrictModel):
    """The machine that latency was measured on.

    Attributes:
        hardware_class: the name that thresholds are worth something on; ``class`` in the verdict.
        cpu: model name and the vector extensions that matter, e.g. ``AMD EPYC (avx2, fma, avx)``.
        cores: logical processors.
        runtime: e.g. ``litert 2.3.0``.
        threads: of the interpreter.
        load_average_1m: when the benchmark began; well above 0 means something else ran.
        pinned_core: the logical processor that the benchmark kept to; None when it was free to wander.
    """

    hardware_class: str
    cpu: str
    cores: int
    runtime: str
    threads: int
    load_average_1m: float
    pinned_core: int | None = None


class Latency(StrictModel):
    """Latency of one model at batch 1, ``invoke()`` alone, in milliseconds.

    Attributes:
        invocations: how many the percentiles are over.
        latency_p99_ms: None below 1,000 invocations: fewer than ten would lie beyond it.
        ratio_to_baseline: median over rounds of (model's median / baseline's median) within the same round.
        ratio_interval: the 2.5 and 97.5 percentiles of a bootstrap of that over rounds.
        peak_memory_bytes: by how much opening and running the model raised the peak of resident memory of a process of its own, pages of
            the runtime's own files left out; the kernel counts to a few hundred KB. ``edgepress.benchmark.peak_memory`` says how.
    """

    recipe: str
    artifact: ArtifactKind
    model_digest: Digest
    invocations: int
    latency_p50_ms: Positive
    latency_p95_ms: Positive
    latency_p99_ms: Positive | None
    ratio_to_baseline: Positive
    ratio_interval: tuple[Positive, Positive]
    peak_memory_bytes: Annotated[int, Field(ge=0)]

    @property
    def metrics(self) -> dict[str, float | None]:
        """What the machine told, by the metrics' names."""
        return {
            LATENCY_P50_MS.name: self.latency_p50_ms,
            LATENCY_P95_MS.name: self.latency_p95_ms,
            LATENCY_P99_MS.name: self.latency_p99_ms,
            LATENCY_RATIO.name: self.ratio_to_baseline,
            PEAK_MEMORY_BYTES.name: self.peak_memory_bytes,
        }


class Benchmark(StrictModel):
    """What ``benchmark.json`` holds. A failed candidate is absent; ``models`` includes the baseline."""

    schema_version: Literal[2] = 2
    hardware: Hardware
    rounds: int
    models: tuple[Latency, ...]

    def latency(self, recipe: str) -> Latency | None:
        """The measurement of a recipe (or ``baseline``), or None."""
        return next((model for model in self.models if model.recipe == recipe), None)


def read_benchmark(directory: Path) -> Benchmark:
    """Read a benchmark directory's record.

    Raises:
        IntegrityError: there is no valid record.
    """
    path = directory / BENCHMARK_NAME
    try:
        return Benchmark.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path}: is not a benchmark record of schema version 2; benchmark again") from error
