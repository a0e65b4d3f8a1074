"""The page's tables as rows, computed here so that the template only lays them out."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from edgepress.contracts.candidate import BASELINE, CandidateRecord, Failure, StageRecord
from edgepress.contracts.evaluation import Evaluation, LayerWeights
from edgepress.contracts.verdict import Metrics
from edgepress.report.curves import draw_curves
from edgepress.report.quantities import check_quantity, flatten, quantity, ratio
from edgepress.report.records import RunRecords, find_verdict

MATRIX_LABELS = 20
"""Above this many labels a confusion matrix is no longer readable, and the commonest confusions are listed instead."""


@dataclass(frozen=True)
class CandidateRow:
    """One model on validation data."""

    recipe: str
    outcome: str
    metrics: Metrics
    size_ratio: str
    latency_interval: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class CheckRow:
    """One check of the nominee on test data, its numbers with their units."""

    name: str
    outcome: str
    observed: str
    threshold: str
    reason: str


@dataclass(frozen=True)
class SliceRow:
    """Accuracy on one value of a slice column, of the baseline and of a model; ``drop`` as in the metrics."""

    value: str
    count: int
    baseline: float | None
    model: float | None
    drop: float | None


@dataclass(frozen=True)
class Confusion:
    """The nominee's mistakes on test data.

    Attributes:
        matrix: per label: (label, recall, [(count, share of the label's examples, is diagonal)]); empty above MATRIX_LABELS labels.
        commonest: (label, taken for, count), most frequent first.
    """

    labels: tuple[str, ...]
    matrix: tuple[tuple[str, float | None, tuple[tuple[int, float, bool], ...]], ...]
    commonest: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class StageCard:
    """What one stage did: its settings and measured facts as (name, shown value)."""

    stage: str
    duration_s: float
    settings: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RecipeSection:
    """One recipe, or the baseline."""

    recipe: str
    outcome: str
    stages: tuple[StageCard, ...]
    failure: Failure | None
    curves: Markup | None
    layers: tuple[LayerWeights, ...]


def candidate_rows(records: RunRecords) -> list[CandidateRow]:
    """The gate's order, best first, and the baseline last."""
    baseline = records.baseline_metrics
    rows: list[tuple[str, str, Metrics, tuple[str, ...]]]
    rows = [(verdict.recipe, verdict.outcome, verdict.metrics, verdict.reasons) for verdict in records.verdict.candidates]
    rows.append((BASELINE, BASELINE, baseline, ()))
    return [
        CandidateRow(
            recipe=recipe,
            outcome=outcome,
            metrics=metrics,
            size_ratio=_ratio(metrics.size_gzip_bytes, baseline.size_gzip_bytes),
            latency_interval=_interval(records, recipe) if metrics.latency_ratio is not None and recipe != BASELINE else "",
            reasons=reasons,
        )
        for recipe, outcome, metrics, reasons in rows
    ]


def check_rows(records: RunRecords) -> list[CheckRow]:
    """The nominee's checks; empty when nothing was nominated."""
    if records.target is None:
        return []
    return [
        CheckRow(
            name=check.name,
            outcome=check.outcome,
            observed=check_quantity(check.name, check.observed),
            threshold="none" if check.threshold is None else check_quantity(check.name, check.threshold),
            reason=check.reason,
        )
        for check in records.target.checks
    ]


def slice_rows(baseline: Evaluation, model: Evaluation) -> dict[str, list[SliceRow]]:
    """Per slice column, its values in order, worst drop first."""
    columns = {}
    for column, values in model.slices.items():
        references = baseline.slices.get(column, {})
        rows = []
        for value, measured in values.items():
            reference = references[value].accuracy if value in references else None
            drop = None if reference is None else reference - measured.accuracy
            rows.append(SliceRow(value=value, count=measured.count, baseline=reference, model=measured.accuracy, drop=drop))
        columns[column] = sorted(rows, key=lambda row: (-(row.drop or 0.0), row.value))
    return columns


def confusion_of(evaluation: Evaluation) -> Confusion | None:
    """The confusion matrix of an evaluation; None when it has none."""
    counts, labels = evaluation.confusion, evaluation.labels
    if not counts or len(labels) != len(counts):
        return None
    mistakes = [
        (labels[label], labels[predicted], number)
        for label, row in enumerate(counts)
        for predicted, number in enumerate(row)
        if number and label != predicted
    ]
    mistakes.sort(key=lambda mistake: (-mistake[2], mistake[0], mistake[1]))
    matrix = []
    for label, row in enumerate(counts if len(labels) <= MATRIX_LABELS else ()):
        total = sum(row)
        cells = tuple((number, number / total if total else 0.0, label == predicted) for predicted, number in enumerate(row))
        matrix.append((labels[label], row[label] / total if total else None, cells))
    return Confusion(labels=labels, matrix=tuple(matrix), commonest=tuple(mistakes[:10]))


def recipe_sections(records: RunRecords) -> list[RecipeSection]:
    """The baseline, then every recipe in the gate's order."""
    return list(_recipe_sections(records))


def _recipe_sections(records: RunRecords) -> Iterator[RecipeSection]:
    yield _recipe_section(records.baseline, BASELINE, records.baseline_validation)
    for verdict in records.verdict.candidates:
        if verdict.recipe in records.candidates:
            yield _recipe_section(records.candidates[verdict.recipe], verdict.outcome, records.evaluations.get(verdict.recipe))


def _recipe_section(record: CandidateRecord, outcome: str, evaluation: Evaluation | None) -> RecipeSection:
    # A recipe's trace begins with the baseline that it was made from, which has a section of its own.
    stages = record.trace if outcome == BASELINE else tuple(stage for stage in record.trace if stage.stage != "train")
    return RecipeSection(
        recipe=record.recipe,
        outcome=outcome,
        stages=tuple(_stage_card(stage) for stage in stages),
        failure=record.failure or (evaluation.failure if evaluation is not None else None),
        curves=draw_curves(record.recipe, stages),
        layers=evaluation.layers if evaluation is not None else (),
    )


def _stage_card(stage: StageRecord) -> StageCard:
    return StageCard(
        stage=stage.stage,
        duration_s=stage.duration_s,
        settings=tuple((name, quantity(name, value)) for name, value in flatten(dict(stage.settings)).items()),
        facts=tuple((name, quantity(name, value)) for name, value in flatten(dict(stage.facts)).items()),
    )


def _ratio(value: float | None, baseline: float | None) -> str:
    return ratio(value / baseline) if value is not None and baseline else ""


def _interval(records: RunRecords, recipe: str) -> str:
    latency = records.benchmark.latency(recipe)
    if latency is None or find_verdict(records, recipe) is None:
        return ""
    low, high = latency.ratio_interval
    return f"{ratio(low)} to {ratio(high)}"
