"""``leaderboard.csv``: the baseline and every recipe on validation data, a row each (RFC 4180)."""

import csv
import io

from edgepress.contracts.candidate import BASELINE
from edgepress.contracts.metrics import Metrics
from edgepress.report.records import RunRecords
from edgepress.tasks.registry import metrics_of


def columns(records: RunRecords) -> tuple[str, ...]:
    """The columns of a run: a metric of its task each, between the recipe and its reasons."""
    return ("recipe", "outcome", *(metric.name for metric in metrics_of(records.task)), "model_digest", "reasons")


def write_leaderboard(records: RunRecords) -> str:
    """The text of the file. Empty cells were not measured; several reasons are joined with a semicolon."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    names = [metric.name for metric in metrics_of(records.task)]
    writer.writerow(columns(records))
    writer.writerow(_row(names, BASELINE, BASELINE, records.baseline_metrics, records.baseline_validation.record.model_digest, ()))
    for verdict in records.verdict.candidates:
        writer.writerow(_row(names, verdict.recipe, verdict.outcome, verdict.metrics, verdict.model_digest, verdict.reasons))
    return text.getvalue()


def _row(names: list[str], recipe: str, outcome: str, metrics: Metrics, digest: str | None, reasons: tuple[str, ...]) -> list[object]:
    values = ["" if (value := metrics.get(name)) is None else value for name in names]
    return [recipe, outcome, *values, digest or "", "; ".join(reasons)]
