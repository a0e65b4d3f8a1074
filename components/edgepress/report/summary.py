"""The verdict in a sentence, why, and the figures that matter most."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edgepress.contracts.metrics import Metrics
from edgepress.report.quantities import NBSP, TIMES, change, count, milliseconds, of_metric, ratio, short_count, size
from edgepress.report.records import RunRecords
from edgepress.tasks.comparisons import AGREEMENT, CORRECTIONS, LATENCY_RATIO, LOSS_OF, OUTPUT_DIFFERENCE, REGRESSIONS
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import LATENCY_P50_MS, MACS, SIZE_GZIP_BYTES


@dataclass(frozen=True)
class Figure:
    """One key figure: what it is, its value, and how it stands to the baseline."""

    title: str
    value: str
    note: str


@dataclass(frozen=True)
class Summary:
    """What stands at the top of the page. ``reasons`` is empty when the nominee passed."""

    sentence: str
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]


def summarise(records: RunRecords) -> Summary:
    """Say what the verdict is and why."""
    target = records.target
    if target is None or records.verdict.nominee is None:
        return _without_nominee(records)
    figures = _figures(records, target.metrics)
    nominee = records.verdict.nominee
    if target.outcome == "passed":
        return Summary(sentence=_passed(records, nominee, target.metrics), reasons=(), figures=figures)
    missed = [check for check in target.checks if check.outcome != "passed"]
    word = "was rejected" if target.outcome == "rejected" else "is inconclusive"
    sentence = f"{nominee} {word}: {_of(len(missed), len(target.checks), 'check')} on test data did not pass."
    return Summary(sentence=sentence, reasons=tuple(f"{check.reason}." for check in missed), figures=figures)


def _passed(records: RunRecords, nominee: str, metrics: Metrics) -> str:
    tested = records.nominee_test.record.examples if records.nominee_test is not None else None
    selecting, baseline = records.task.selecting, records.verdict.baseline.metrics
    parts = []
    if (value := metrics.get(selecting.name)) is not None:
        shown = of_metric(selecting, value)
        named = f"it is {shown} accurate" if selecting.name == "accuracy" else f"its {selecting.title} is {shown}"
        parts.append(f"{named}{_against_baseline(selecting, metrics.get(LOSS_OF[selecting.name].name))}")
    gzip, baseline_gzip = metrics.get(SIZE_GZIP_BYTES.name), baseline.get(SIZE_GZIP_BYTES.name)
    if gzip and baseline_gzip:
        parts.append(_fewer("to download", "smaller", "larger", gzip / baseline_gzip))
    if latency_ratio := metrics.get(LATENCY_RATIO.name):
        parts.append(_fewer(f"at the median on {records.verdict.hardware.hardware_class}", "faster", "slower", latency_ratio))
    where = f"on {count(tested)} test examples " if tested else ""
    return f"{nominee} passed: {where}{_join(parts) or 'it held every threshold'}."


def _against_baseline(selecting: Metric, loss: float | None) -> str:
    if loss is None:
        return ""
    in_points = selecting.unit == "ratio"
    shown = f"{abs(100 * loss):.2f}" if in_points else of_metric(selecting, abs(loss))
    if loss == 0 or shown == "0.00":
        return ", level with the baseline"
    below = (loss > 0) == (selecting.direction == "higher")
    return f", {shown}{' points' if in_points else ''} {'below' if below else 'above'} the baseline"


def _fewer(what: str, better: str, worse: str, value: float) -> str:
    if 0.99 <= value <= 1.01:
        return f"{'as fast as' if better == 'faster' else 'as large as'} the baseline {what}"
    if value <= 0.95:
        return f"{1 / value:.1f}{TIMES} {better} {what}"
    return f"{100 * abs(value - 1):.0f}{NBSP}% {better if value < 1 else worse} {what}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _of(some: int, total: int, noun: str) -> str:
    return f"{some} of {total} {noun}{'' if total == 1 else 's'}"


def _without_nominee(records: RunRecords) -> Summary:
    candidates = records.verdict.candidates
    outcomes = Counter(verdict.outcome for verdict in candidates)
    if outcomes["failed"] == len(candidates):
        sentence = f"Rejected: {'every candidate' if len(candidates) > 1 else 'the only candidate'} failed, so nothing could be judged."
    else:
        failed = f", {outcomes['failed']} failed" if outcomes["failed"] else ""
        sentence = f"Rejected: no candidate could be nominated on validation data; {outcomes['ineligible']} ineligible{failed}."
    reasons = tuple(f"{verdict.recipe}: {'; '.join(verdict.reasons)}." for verdict in candidates)
    baseline = records.baseline_metrics
    selecting = records.task.selecting
    figures = (
        Figure("Candidates", str(len(candidates)), f"{outcomes['ineligible']} ineligible, {outcomes['failed']} failed"),
        Figure(f"Baseline {selecting.title}", of_metric(selecting, baseline.get(selecting.name)), "on validation data"),
        Figure("Baseline download", size(baseline.get(SIZE_GZIP_BYTES.name)), "gzip"),
        Figure("Baseline latency", milliseconds(baseline.get(LATENCY_P50_MS.name)), "p50"),
    )
    return Summary(sentence=sentence, reasons=reasons, figures=figures)


def _figures(records: RunRecords, metrics: Metrics) -> tuple[Figure, ...]:
    baseline, selecting = records.verdict.baseline.metrics, records.task.selecting
    lost = change(selecting, metrics.get(LOSS_OF[selecting.name].name))
    gzip, macs = SIZE_GZIP_BYTES.name, MACS.name
    return (
        Figure(
            f"{selecting.heading} on test",
            of_metric(selecting, metrics.get(selecting.name)),
            f"{lost} against {of_metric(selecting, baseline.get(selecting.name))}",
        ),
        Figure("Download, gzip", size(metrics.get(gzip)), _compare(metrics.get(gzip), baseline.get(gzip), size)),
        Figure("Latency, p50", milliseconds(metrics.get(LATENCY_P50_MS.name)), _latency_note(metrics, baseline)),
        Figure("Multiply-accumulates", short_count(metrics.get(macs)), _compare(metrics.get(macs), baseline.get(macs), short_count)),
        _resemblance(metrics),
    )


def _compare(value: float | None, baseline: float | None, show: Callable[[float | None], str]) -> str:
    if not value or not baseline:
        return f"the baseline: {show(baseline)}"
    return "the same as the baseline" if value == baseline else f"{ratio(value / baseline)} of {show(baseline)}"


def _latency_note(metrics: Metrics, baseline: Metrics) -> str:
    latency_ratio, reference = metrics.get(LATENCY_RATIO.name), milliseconds(baseline.get(LATENCY_P50_MS.name))
    return f"the baseline: {reference}" if latency_ratio is None else f"{ratio(latency_ratio)} of {reference}"


def _resemblance(metrics: Metrics) -> Figure:
    """How much the nominee does what the baseline does, by whichever comparison its task has."""
    if AGREEMENT.name not in metrics or metrics.get(OUTPUT_DIFFERENCE.name) is not None:
        return Figure("Output difference", of_metric(OUTPUT_DIFFERENCE, metrics.get(OUTPUT_DIFFERENCE.name)), "root mean square")
    regressions, corrections = metrics.get(REGRESSIONS.name), metrics.get(CORRECTIONS.name)
    return Figure(
        "Agreement", of_metric(AGREEMENT, metrics.get(AGREEMENT.name)), f"{regressions} right to wrong, {corrections} wrong to right"
    )
