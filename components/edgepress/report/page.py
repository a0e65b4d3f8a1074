"""The report: one HTML file that asks the network for nothing and runs no script."""

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edgepress.contracts.candidate import BASELINE
from edgepress.report import quantities
from edgepress.report.records import RunRecords
from edgepress.report.scores import draw_scores
from edgepress.report.sections import candidate_columns, candidate_rows, check_rows, confusion_of, recipe_sections, slice_rows
from edgepress.report.summary import summarise
from edgepress.report.tradeoff import draw_tradeoffs


def render_page(records: RunRecords) -> str:
    """The page as text. The same records give the same bytes."""
    environment = Environment(
        loader=PackageLoader("edgepress.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "percent": quantities.percent,
            "points": quantities.points,
            "size": quantities.size,
            "ms": quantities.milliseconds,
            "ratio": quantities.ratio,
            "count": quantities.count,
            "short_count": quantities.short_count,
            "seconds": quantities.seconds,
        }
    )
    examined = records.examined
    style = resources.files("edgepress.report").joinpath("page/report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        records=records,
        verdict=records.verdict,
        target=records.target,
        summary=summarise(records),
        checks=check_rows(records),
        columns=candidate_columns(records),
        candidates=candidate_rows(records),
        tradeoffs=draw_tradeoffs(records),
        examined=examined[0].record if examined is not None else None,
        slices=slice_rows(examined[1].record, examined[0].record, records.task.selecting) if examined is not None else {},
        confusion=confusion_of(examined[0].record) if examined is not None else None,
        scores=draw_scores(examined[0], examined[1], records.task) if examined is not None else None,
        selecting=records.task.selecting,
        score_title=records.task.score_title,
        test_examples=records.baseline_test.record.examples,
        validation_examples=records.baseline_validation.record.examples,
        recipes=recipe_sections(records),
        baseline_latency=records.benchmark.latency(BASELINE),
        style=Markup(style),  # noqa: S704 - our own file
    )
