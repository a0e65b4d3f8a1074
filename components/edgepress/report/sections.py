"""The page's tables as rows, computed here so that the template only lays them out."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from edgepress.contracts.candidate import BASELINE, CandidateRecord, Failure, StageRecord
from edgepress.contracts.evaluation import Evaluation, LayerWeights, OpenedEvaluation
from edgepress.contracts.metrics import Metrics
from edgepress.report.curves import draw_curves
from edgepress.report.quantities import change, check_quantity, flatten, of_metric, quantity, ratio
from edgepress.report.records import RunRecords, find_verdict
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import (
    LATENCY_P50_MS,
    LATENCY_P95_MS,
    MACS,
    METRICS,
    PEAK_MEMORY_BYTES,
    SIZE_BYTES,
    SIZE_GZIP_BYTES,
    SPARSITY,
)

MATRIX_LABELS = 20
"""Above this many labels a confusion matrix is no longer readable, and the commonest confusions are listed instead."""


@dataclass(frozen=True)
class CandidateRow:
    """One model on validation data; ``cells`` has, for each column, the value and what stands under it."""

    recipe: str
    outcome: str
    cells: tuple[tuple[str, str], ...]
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
    """The task's selecting metric on one value of a slice column, of the baseline and of a model.

    Attributes:
        share: of the model's value, for a bar; None where the metric is no share.
        loss: how much worse the model is; None where either was not measured.
    """

    value: str
    count: int
    baseline: str
    model: str
    share: float | None
    change: str
    loss: float | None


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


def candidate_columns(records: RunRecords) -> tuple[Metric, ...]:
    """The metrics that the table of candidates shows: the selecting one, the usual costs, and whatever the policy has a threshold on."""
    usual = (SIZE_GZIP_BYTES, SIZE_BYTES, LATENCY_P50_MS, LATENCY_P95_MS, PEAK_MEMORY_BYTES, MACS, SPARSITY)
    judged = [metric for metric in METRICS.values() if records.policy.threshold(metric.name) is not None]
    return tuple(dict.fromkeys((records.task.selecting, *(metric for metric in judged if metric.source == "examples"), *usual, *judged)))


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
            cells=tuple(
                (
                    of_metric(metric, metrics.get(metric.name)),
                    _against(records, recipe, metric, metrics, baseline) if recipe != BASELINE else "",
                )
                for metric in candidate_columns(records)
            ),
            reasons=reasons,
        )
        for recipe, outcome, metrics, reasons in rows
    ]


def _against(records: RunRecords, recipe: str, metric: Metric, metrics: Metrics, baseline: Metrics) -> str:
    """How a value stands to the baseline's; empty where that says little."""
    value, reference = metrics.get(metric.name), baseline.get(metric.name)
    if value is None or reference is None:
        return ""
    if metric.source == "examples":
        return change(metric, metric.loss(value, reference))
    if metric is LATENCY_P50_MS:
        return _interval(records, recipe)
    return _ratio(value, reference) if metric is SIZE_GZIP_BYTES else ""


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


def slice_rows(baseline: Evaluation, model: Evaluation, metric: Metric) -> dict[str, list[SliceRow]]:
    """Per slice column, its values in order, worst loss first.

    Args:
        baseline, model: evaluations on the same examples.
        metric: the task's selecting one, which slices are measured by.
    """
    columns = {}
    for column, values in model.slices.items():
        references = baseline.slices.get(column, {})
        rows = []
        for value, measured in values.items():
            reference = references[value].value if value in references else None
            loss = None if reference is None or measured.value is None else metric.loss(measured.value, reference)
            rows.append(
                SliceRow(
                    value=value,
                    count=measured.count,
                    baseline=of_metric(metric, reference),
                    model=of_metric(metric, measured.value),
                    share=measured.value if metric.unit == "ratio" else None,
                    change=change(metric, loss),
                    loss=loss,
                )
            )
        columns[column] = sorted(rows, key=lambda row: (-(row.loss or 0.0), row.value))
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
    yield _recipe_section(records.baseline, BASELINE, records.baseline_validation, records.task.selecting)
    for verdict in records.verdict.candidates:
        if verdict.recipe in records.candidates:
            opened = records.evaluations.get(verdict.recipe)
            yield _recipe_section(records.candidates[verdict.recipe], verdict.outcome, opened, records.task.selecting)


def _recipe_section(record: CandidateRecord, outcome: str, opened: OpenedEvaluation | None, selecting: Metric) -> RecipeSection:
    evaluation = opened.record if opened is not None else None
    # A recipe's trace begins with the baseline that it was made from, which has a section of its own.
    stages = record.trace if outcome == BASELINE else tuple(stage for stage in record.trace if stage.stage != "train")
    return RecipeSection(
        recipe=record.recipe,
        outcome=outcome,
        stages=tuple(_stage_card(stage) for stage in stages),
        failure=record.failure or (evaluation.failure if evaluation is not None else None),
        curves=draw_curves(record.recipe, stages, selecting),
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
