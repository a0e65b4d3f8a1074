"""What the gate demands: thresholds that must all hold, and the objective that picks among those that hold them."""

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import Fraction
from edgepress.device.digest import digest_bytes
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import METRICS

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class ShareThreshold(StrictModel):
    """Of a share that is better when it is higher, e.g. accuracy.

    Attributes:
        min: lowest value, inclusive.
        max_drop: most that may be lost against the baseline (0.01 is one point).
    """

    min: Fraction | None = None
    max_drop: Fraction | None = None


class ErrorThreshold(StrictModel):
    """Of an error, which is better when it is lower, e.g. the mean absolute error.

    Attributes:
        max: highest value, inclusive, in the metric's unit.
        max_rise: by how much it may exceed the baseline's.
        max_ratio: highest ratio to the baseline's value.
    """

    max: NotNegative | None = None
    max_rise: NotNegative | None = None
    max_ratio: Positive | None = None


class CostThreshold(StrictModel):
    """Of what a model costs: bytes, milliseconds, operations.

    Attributes:
        max: highest value, inclusive, in the metric's unit.
        max_ratio: highest ratio to the baseline's value.
    """

    max: Positive | None = None
    max_ratio: Positive | None = None


class LowestThreshold(StrictModel):
    """``min``: lowest value, inclusive, of what is itself a comparison with the baseline, or cannot be compared with it."""

    min: NotNegative | None = None


class HighestThreshold(StrictModel):
    """``max``: highest value, inclusive, of what is itself a comparison with the baseline."""

    max: NotNegative | None = None


MetricThresholds = ShareThreshold | ErrorThreshold | CostThreshold | LowestThreshold | HighestThreshold
"""All that a policy can ask of one metric; ``contracts.thresholds.Threshold`` is one bound of it."""


def threshold_type(metric: Metric) -> type[StrictModel]:
    """The thresholds that a metric can have."""
    if metric.source == "comparison" or metric.name == "sparsity":  # a baseline is rarely sparse at all
        return LowestThreshold if metric.direction == "higher" else HighestThreshold
    if metric.source == "examples":
        return ShareThreshold if metric.direction == "higher" else ErrorThreshold
    return CostThreshold


def _is_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"must be one of {', '.join(METRICS)}; is the text {name!r}")
    return name


Objective = Annotated[str, AfterValidator(_is_metric)]
"""A metric; which way is better, it says itself."""

if TYPE_CHECKING:

    class _Thresholds(StrictModel):
        def __init__(self, **thresholds: Any) -> None: ...

else:
    _Thresholds = create_model(
        "_Thresholds", __base__=StrictModel, **{metric.name: (threshold_type(metric) | None, None) for metric in METRICS.values()}
    )


class GateSettings(_Thresholds):
    """Thresholds per metric, a field for each, named as the metrics are. Without any threshold the gate rejects everything."""

    objective: Objective = "size_gzip_bytes"

    def threshold(self, metric: str) -> MetricThresholds | None:
        """The thresholds on a metric; None where there are none."""
        found: MetricThresholds | None = getattr(self, metric)
        return found

    def has_threshold(self) -> bool:
        """Whether any threshold is set."""
        groups = [self.threshold(name) for name in METRICS]
        return any(value is not None for group in groups if group is not None for value in group.model_dump().values())


def policy_digest(policy: GateSettings) -> str:
    """Digest of a policy: of its JSON with sorted keys, no spaces, and nothing that is not set but the objective."""
    canonical = json.dumps(policy.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest_bytes(canonical.encode())
