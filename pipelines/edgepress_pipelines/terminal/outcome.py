"""What the terminal shows after a run: the candidates, the judgement on test data, and the verdict in a sentence."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from edgepress.contracts.metrics import Metrics
from edgepress.contracts.verdict import CandidateVerdict, TargetVerdict, Verdict
from edgepress.tasks.comparisons import LATENCY_RATIO, LOSS_OF
from edgepress.tasks.metric import Metric
from edgepress.tasks.registry import LATENCY_P50_MS, SIZE_GZIP_BYTES, TASKS
from edgepress_pipelines.terminal.foreign_text import harmless
from edgepress_pipelines.terminal.tables import NamedRows, make_table

_STYLES = {
    "passed": "green",
    "nominated": "bold green",
    "eligible": "green",
    "ineligible": "yellow",
    "rejected": "red",
    "inconclusive": "yellow",
    "failed": "red",
}
_ABSENT = "-"


def show_outcome(console: Console, verdict: Verdict, run_dir: Path, published_uri: str | None) -> None:
    """Print a run's verdict and where its results are."""
    console.print(_candidates(verdict), crop=console.is_terminal)  # a file takes lines of any length
    for target in verdict.targets:
        console.print(_judgement(verdict, target))
    console.print(Padding(Text.assemble((harmless(verdict_sentence(verdict)), f"bold {_STYLES[verdict.outcome]}")), (1, 0)))
    for label, value in _places(run_dir, published_uri):
        console.print(Text.assemble((f"{label:<10}", "dim"), harmless(value)), soft_wrap=True)


def verdict_sentence(verdict: Verdict) -> str:
    """The verdict in a sentence."""
    nominee = verdict.nominee
    if verdict.outcome == "passed":
        return f"Passed: {nominee} holds every threshold on test data."
    if nominee is None:
        best = verdict.candidates[0] if verdict.candidates else None
        reasons = {reason for candidate in verdict.candidates for reason in candidate.reasons}
        if best is not None and len(reasons) == 1:
            return f"Rejected: no candidate is eligible, because {reasons.pop()}. Nothing is released."
        return "Rejected: no candidate holds every threshold on validation data. Nothing is released."
    unmet = [check.reason for target in verdict.targets for check in target.checks if check.outcome != "passed"]
    word = "Rejected" if verdict.outcome == "rejected" else "Inconclusive"
    return f"{word}: {nominee} was nominated, but on test data {'; '.join(unmet) or 'it was not judged'}. Nothing is released."


def _places(run_dir: Path, published_uri: str | None) -> Iterator[tuple[str, str]]:
    yield "report", str(run_dir / "report.html")
    if (run_dir / "release").is_dir():
        yield "release", str(run_dir / "release")
    if published_uri is not None:
        yield "published", published_uri


def _candidates(verdict: Verdict) -> RenderableType:
    table = make_table()
    table.add_column("outcome", no_wrap=True)
    selecting = TASKS[verdict.task].selecting
    lost = "drop" if selecting.direction == "higher" else "rise"
    for heading in (selecting.title, lost, "gzip bytes", "p50 ms", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for candidate in verdict.candidates:
        table.add_row(Text(candidate.outcome, _STYLES[candidate.outcome]), *_figures(selecting, candidate.metrics))
    names = [harmless(candidate.recipe) for candidate in verdict.candidates]
    reasons = [_reason(candidate, reason) for candidate in verdict.candidates for reason in candidate.reasons]
    hardware = verdict.hardware
    measured_by = harmless(f"{hardware.cpu}, {hardware.runtime}")
    measured_on = Text(f"ratio: p50 over the baseline's. Measured on {measured_by}, {hardware.threads} thread.", "dim")
    return Group(
        Text("Candidates, on validation data", "bold"),
        NamedRows("recipe", names, table),
        *([Text(), *reasons] if reasons else []),
        Text(),
        measured_on,
    )


def _reason(candidate: CandidateVerdict, reason: str) -> RenderableType:
    return Text.assemble((harmless(candidate.recipe), _STYLES[candidate.outcome]), harmless(f": {reason}"))


def _figures(selecting: Metric, metrics: Metrics) -> list[str]:
    return [
        _number(metrics.get(selecting.name), _form(selecting)),
        _number(metrics.get(LOSS_OF[selecting.name].name), f"+{_form(selecting)}"),
        _number(metrics.get(SIZE_GZIP_BYTES.name), ",d"),
        _number(metrics.get(LATENCY_P50_MS.name), ".3f"),
        _number(metrics.get(LATENCY_RATIO.name), ".2f"),
    ]


def _form(selecting: Metric) -> str:
    return ".4f" if selecting.unit == "ratio" else ".4g"


def _judgement(verdict: Verdict, target: TargetVerdict) -> RenderableType:
    title = f"{verdict.nominee}, judged on test data (this split has been used {_times(verdict.test_split_uses)})"
    table = make_table()
    table.add_column("check", no_wrap=True)
    table.add_column("observed", justify="right", no_wrap=True)
    table.add_column("threshold", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for check in target.checks:
        table.add_row(
            Text(harmless(check.name)), _short(check.observed), _short(check.threshold), Text(check.outcome, _STYLES[check.outcome])
        )
    unmet = [Text(harmless(f"{check.name}: {check.reason}")) for check in target.checks if check.outcome != "passed"]
    selecting = TASKS[verdict.task].selecting
    own, baseline = (_number(metrics.get(selecting.name), _form(selecting)) for metrics in (target.metrics, verdict.baseline.metrics))
    compared = Text(f"{selecting.title} on test data: {own}, the baseline's {baseline}", "dim")
    return Padding(Group(Text(harmless(title), "bold"), table, *unmet, compared), (1, 0, 0, 0))


def _number(value: float | None, form: str) -> str:
    return _ABSENT if value is None else format(value, form)


def _short(value: float | None) -> str:
    if value is None:
        return _ABSENT
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 1000 else f"{value:.4g}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
