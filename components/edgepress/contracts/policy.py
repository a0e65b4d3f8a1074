"""What the gate demands: thresholds that must all hold, and the objective that picks among those that hold them."""

import json
from typing import Annotated, Literal

from pydantic import Field

from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import Fraction
from edgepress.device.digest import digest_bytes

Objective = Literal["accuracy", "size_bytes", "size_gzip_bytes", "latency_p50_ms", "latency_p95_ms", "macs"]
"""``accuracy`` is maximised, every other objective minimised."""


class AccuracyThreshold(StrictModel):
    """``min``: lowest accuracy, inclusive. ``max_drop``: most that may be lost against the baseline (0.01 is one point)."""

    min: Fraction | None = None
    max_drop: Fraction | None = None


class CostThreshold(StrictModel):
    """``max``: highest value, inclusive, in the metric's unit. ``max_ratio``: highest ratio to the baseline's value."""

    max: Annotated[float, Field(gt=0.0)] | None = None
    max_ratio: Annotated[float, Field(gt=0.0)] | None = None


class GateSettings(StrictModel):
    """Thresholds per metric, named as the metrics are. Without any threshold the gate rejects everything."""

    objective: Objective = "size_gzip_bytes"
    accuracy: AccuracyThreshold = AccuracyThreshold()
    latency_p50_ms: CostThreshold = CostThreshold()
    latency_p95_ms: CostThreshold = CostThreshold()
    size_bytes: CostThreshold = CostThreshold()
    size_gzip_bytes: CostThreshold = CostThreshold()

    def has_threshold(self) -> bool:
        """Whether any threshold is set."""
        groups = (self.accuracy, self.latency_p50_ms, self.latency_p95_ms, self.size_bytes, self.size_gzip_bytes)
        return any(value is not None for group in groups for value in group.model_dump().values())


def policy_digest(policy: GateSettings) -> str:
    """Digest of a policy: of its JSON with sorted keys, no spaces and every default written out."""
    canonical = json.dumps(policy.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest_bytes(canonical.encode())
