"""``leaderboard.csv``: the baseline and every recipe on validation data, a row each (RFC 4180)."""

import csv
import io

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.verdict import Metrics
from edgepress.report.records import RunRecords

_METRICS = tuple(Metrics.model_fields)
COLUMNS = ("recipe", "outcome", *_METRICS, "model_digest", "reasons")


def write_leaderboard(records: RunRecords) -> str:
    """The text of the file. Empty cells were not measured; several reasons are joined with a semicolon."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerow(_row(BASELINE, BASELINE, records.baseline_metrics, records.baseline_validation.model_digest, ()))
    for verdict in records.verdict.candidates:
        writer.writerow(_row(verdict.recipe, verdict.outcome, verdict.metrics, verdict.model_digest, verdict.reasons))
    return text.getvalue()


def _row(recipe: str, outcome: str, metrics: Metrics, digest: str | None, reasons: tuple[str, ...]) -> list[object]:
    values = ["" if (value := getattr(metrics, name)) is None else value for name in _METRICS]
    return [recipe, outcome, *values, digest or "", "; ".join(reasons)]
