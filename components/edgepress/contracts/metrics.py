"""Measured values by the names of their metrics, as records hold them."""

from typing import Annotated

from pydantic import AfterValidator

from edgepress.tasks.registry import METRICS


def _are_declared(values: dict[str, float | int | None]) -> dict[str, float | int | None]:
    unknown = sorted(values.keys() - METRICS.keys())
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such metric")
    fractional = sorted(name for name, value in values.items() if METRICS[name].whole and isinstance(value, float))
    if fractional:
        raise ValueError(f"{', '.join(fractional)}: must be whole numbers")
    impossible = [name for name, value in values.items() if value is not None and not METRICS[name].can_be(value)]
    if impossible:
        raise ValueError(f"{impossible[0]}: cannot be {str(values[impossible[0]])[:24]}")
    return values


Metrics = Annotated[dict[str, float | int | None], AfterValidator(_are_declared)]
"""Metric name -> value, in the metric's unit; None, or no entry, where it was not measured. Never NaN, infinite or beyond
the metric's bounds."""
