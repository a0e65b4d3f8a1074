"""The verdict in a sentence, why, and the figures that matter most."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edgepress.contracts.evaluation import Evaluation
from edgepress.contracts.verdict import Metrics
from edgepress.report.quantities import NBSP, NOT_MEASURED, TIMES, count, milliseconds, percent, points, ratio, short_count, size
from edgepress.report.records import RunRecords


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


def examples(evaluation: Evaluation | None) -> int | None:
    """Examples that an evaluation counted; None when it has no confusion matrix."""
    return sum(map(sum, evaluation.confusion)) if evaluation is not None and evaluation.confusion else None


def _passed(records: RunRecords, nominee: str, metrics: Metrics) -> str:
    tested = examples(records.nominee_test)
    parts = []
    if metrics.accuracy is not None:
        parts.append(f"it is {percent(metrics.accuracy)} accurate{_against_baseline(metrics.accuracy_drop)}")
    baseline = records.verdict.baseline.metrics
    if metrics.size_gzip_bytes and baseline.size_gzip_bytes:
        parts.append(_fewer("to download", "smaller", "larger", metrics.size_gzip_bytes / baseline.size_gzip_bytes))
    if metrics.latency_ratio:
        parts.append(_fewer(f"at the median on {records.verdict.hardware.hardware_class}", "faster", "slower", metrics.latency_ratio))
    where = f"on {count(tested)} test examples " if tested else ""
    return f"{nominee} passed: {where}{_join(parts) or 'it held every threshold'}."


def _against_baseline(drop: float | None) -> str:
    if drop is None:
        return ""
    shown = f"{abs(100 * drop):.2f}"
    if shown == "0.00":
        return ", level with the baseline"
    return f", {shown} points {'below' if drop > 0 else 'above'} the baseline"


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
    figures = (
        Figure("Candidates", str(len(candidates)), f"{outcomes['ineligible']} ineligible, {outcomes['failed']} failed"),
        Figure("Baseline accuracy", percent(baseline.accuracy), "on validation data"),
        Figure("Baseline download", size(baseline.size_gzip_bytes), "gzip"),
        Figure("Baseline latency", milliseconds(baseline.latency_p50_ms), "p50"),
    )
    return Summary(sentence=sentence, reasons=reasons, figures=figures)


def _figures(records: RunRecords, metrics: Metrics) -> tuple[Figure, ...]:
    baseline = records.verdict.baseline.metrics
    return (
        Figure("Accuracy on test", percent(metrics.accuracy), f"{points(metrics.accuracy_drop)} against {percent(baseline.accuracy)}"),
        Figure("Download, gzip", size(metrics.size_gzip_bytes), _compare(metrics.size_gzip_bytes, baseline.size_gzip_bytes, size)),
        Figure("Latency, p50", milliseconds(metrics.latency_p50_ms), _latency_note(metrics, baseline)),
        Figure("Multiply-accumulates", short_count(metrics.macs), _compare(metrics.macs, baseline.macs, short_count)),
        Figure("Agreement", percent(metrics.agreement), _flips(records)),
    )


def _compare(value: float | None, baseline: float | None, show: Callable[[float | None], str]) -> str:
    if not value or not baseline:
        return f"the baseline: {show(baseline)}"
    return "the same as the baseline" if value == baseline else f"{ratio(value / baseline)} of {show(baseline)}"


def _latency_note(metrics: Metrics, baseline: Metrics) -> str:
    if metrics.latency_ratio is None:
        return f"the baseline: {milliseconds(baseline.latency_p50_ms)}"
    return f"{ratio(metrics.latency_ratio)} of {milliseconds(baseline.latency_p50_ms)}"


def _flips(records: RunRecords) -> str:
    measured = records.nominee_test.metrics if records.nominee_test is not None else None
    if measured is None:
        return NOT_MEASURED
    return f"{measured.regressions} right to wrong, {measured.corrections} wrong to right"
