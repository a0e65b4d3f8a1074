"""The Grafana dashboard, written from the list of metrics: ``python -m manifests.components.monitoring.dashboard`` renews dashboard.json.

It reads from the top as one asks: is what we ship good, what were the candidates, did the runs go well, does anything start them.
"""

import json
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from edgepress import telemetry
from edgepress.tasks.metric import Source
from edgepress.tasks.metric import Unit as MetricUnit
from edgepress.tasks.registry import METRICS
from edgepress.telemetry import Metric

DASHBOARD_FILE: Final = Path(__file__).with_name("dashboard.json")

GRID_WIDTH: Final = 24
PANEL_HEIGHT: Final = 8
ROW_HEIGHT: Final = 1
SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4; newer ones read it and migrate it themselves."""

Unit = Literal["bool", "bytes", "none", "percentunit", "s", "reqps"]


class Query(NamedTuple):
    """A PromQL expression and what its series are called."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """One panel. ``description`` says what to make of it."""

    title: str
    description: str
    kind: Literal["stat", "timeseries"]
    unit: Unit
    width: int
    queries: tuple[Query, ...]


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def newest(metric: Metric, *by: str) -> str:
    """The metric of the chosen pipelines. Two exporters of one metric differ in ``job`` and ``instance``; the newest time is the larger."""
    return f'max by ({", ".join(by)}) ({metric.name}{{pipeline=~"$pipeline"}})'


def age(metric: Metric) -> str:
    """Seconds since a timestamp, for each pipeline."""
    return f"time() - {newest(metric, telemetry.PIPELINE)}"


def rate(metric: Metric, *by: str, chosen: bool) -> str:
    """Events per second of a counter; ``chosen`` keeps to the chosen pipelines."""
    selector = '{pipeline=~"$pipeline"}' if chosen else ""
    return f"sum by ({', '.join(by)}) (rate({metric.name}{selector}[$__rate_interval]))"


def of_pipeline(title: str, description: str, unit: Unit, expression: str, width: int = 6) -> Panel:
    """One figure for each pipeline."""
    return Panel(title, description, "stat", unit, width, (Query(expression, "{{pipeline}}"),))


def of_candidates(title: str, description: str, unit: Unit, *metrics: tuple[Metric, str]) -> Panel:
    """One line for each recipe."""
    queries = tuple(
        Query(newest(metric, telemetry.PIPELINE, telemetry.RECIPE), "{{pipeline}} {{recipe}}" + name) for metric, name in metrics
    )
    return Panel(title, description, "timeseries", unit, 12, queries)


GRAFANA_UNITS: Final[dict[MetricUnit, Unit]] = {
    "ratio": "percentunit",
    "multiple": "none",
    "count": "none",
    "bytes": "bytes",
    "ms": "s",
    "label units": "none",
}
"""Unit of a metric of models -> Grafana's for its Prometheus metric, which is in base units."""

_SOURCE_TITLES: Final[dict[Source, str]] = {
    "examples": "Quality",
    "file": "File",
    "machine": "On the benchmark's hardware",
    "comparison": "Beside the baseline",
}
_UNIT_TITLES: Final[dict[MetricUnit, str]] = {
    "ratio": "shares",
    "multiple": "multiples",
    "count": "counts",
    "bytes": "bytes",
    "ms": "time",
    "label units": "in the labels' units",
}


def of_metrics(source: Source, description: str) -> list[Panel]:
    """The metrics of models from one source, a panel for each unit and a line for each recipe and metric."""
    units = dict.fromkeys(metric.unit for metric in METRICS.values() if metric.source == source)
    return [
        of_candidates(
            f"{_SOURCE_TITLES[source]}: {_UNIT_TITLES[unit]}",
            description,
            GRAFANA_UNITS[unit],
            *(
                (telemetry.CANDIDATE[name], f" {metric.title}")
                for name, metric in METRICS.items()
                if (metric.source, metric.unit) == (source, unit)
            ),
        )
        for unit in units
    ]


def of_tasks(title: str, description: str, unit: Unit, expression: str) -> Panel:
    """One line for each task."""
    return Panel(title, description, "timeseries", unit, 6, (Query(expression, "{{pipeline}} {{task}} {{recipe}}"),))


ROWS: Final = (
    Row(
        "Verdict and release",
        (
            of_pipeline("Gate passed", "The last verdict.", "bool", newest(telemetry.GATE_PASSED, telemetry.PIPELINE), 4),
            of_pipeline("Inconclusive", "The gate could not decide.", "bool", newest(telemetry.GATE_INCONCLUSIVE, telemetry.PIPELINE), 4),
            of_pipeline("Since the last verdict", "Nothing is judged while nothing changes.", "s", age(telemetry.GATE_VERDICT), 4),
            of_pipeline("Since the last release", "A rejected run releases nothing.", "s", age(telemetry.RELEASE), 4),
            of_pipeline(
                "Uses of the test split",
                "Each use lets a little of the test data leak into what is chosen.",
                "none",
                newest(telemetry.GATE_TEST_SPLIT_USES, telemetry.PIPELINE),
                8,
            ),
        ),
    ),
    Row(
        "Candidates",
        (
            *of_metrics("examples", "Of the shipped file, on validation data."),
            of_candidates("Failed candidates", "1: a stage failed; the report says why.", "bool", (telemetry.CANDIDATE_FAILED, "")),
            *of_metrics("file", "Of the shipped file."),
            *of_metrics("machine", "Of one inference on the benchmark's hardware, which is what it is worth."),
            *of_metrics("comparison", "Beside the baseline."),
        ),
    ),
    Row(
        "Runs",
        (
            of_pipeline(
                "Last run succeeded", "Told by the exit handler, if it is on.", "bool", newest(telemetry.RUN_SUCCEEDED, telemetry.PIPELINE)
            ),
            of_pipeline("Since the last run ended", "Told by the exit handler, if it is on.", "s", age(telemetry.RUN_LAST_COMPLETION)),
            of_pipeline("Since a run was started", "By the trigger or an event.", "s", age(telemetry.TRIGGER_LAST_START)),
            of_pipeline("Since the trigger looked", "The CronJob looks every 15 minutes.", "s", age(telemetry.TRIGGER_LAST_SUCCESS)),
            of_tasks(
                "Duration of tasks",
                "Of each task's last execution.",
                "s",
                newest(telemetry.TASK_DURATION, telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE),
            ),
            of_tasks(
                "Failed tasks",
                "1: its last execution failed.",
                "bool",
                f"1 - {newest(telemetry.TASK_SUCCEEDED, telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE)}",
            ),
            *(
                of_tasks(
                    f"{METRICS[name].heading} after training",
                    "Of the Keras model that a task trained, on validation data; before it is converted.",
                    GRAFANA_UNITS[METRICS[name].unit],
                    newest(metric, telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE),
                )
                for name, metric in telemetry.TASK_VALIDATION.items()
            ),
            of_tasks(
                "Since a task ended",
                "A recipe that grows old was removed, or is not reached.",
                "s",
                f"time() - {newest(telemetry.TASK_LAST_COMPLETION, telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE)}",
            ),
        ),
    ),
    Row(
        "Events",
        (
            Panel(
                "Requests to the receiver",
                "Of every sender, by what became of them.",
                "timeseries",
                "reqps",
                12,
                (
                    Query(
                        rate(telemetry.RECEIVER_REQUESTS, telemetry.SOURCE, telemetry.OUTCOME, chosen=False),
                        "{{source}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                "Checks after events",
                "Whether a run is due, by outcome.",
                "timeseries",
                "reqps",
                12,
                (Query(rate(telemetry.TRIGGER_CHECKS, telemetry.PIPELINE, telemetry.OUTCOME, chosen=True), "{{pipeline}} {{outcome}}"),),
            ),
        ),
    ),
)

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_FROM_RED_TO_GREEN: Final = {
    "mode": "absolute",
    "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}],
}
_GOOD_WHEN_ONE: Final = frozenset({telemetry.GATE_PASSED.name, telemetry.RUN_SUCCEEDED.name})


def build() -> dict[str, Any]:
    """The dashboard as Grafana's JSON model, the same for the same metrics."""
    return {
        "uid": "edgepress",
        "title": "EdgePress",
        "tags": ["edgepress"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-30d", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [_datasource_variable(), _pipeline_variable()]},
        "panels": _place(ROWS),
    }


def render() -> str:
    """The text of dashboard.json."""
    return json.dumps(build(), indent=2) + "\n"


def _datasource_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _pipeline_variable() -> dict[str, Any]:
    query = f"label_values({telemetry.TASK_LAST_COMPLETION.name}, {telemetry.PIPELINE})"
    return {
        "name": "pipeline",
        "label": "Pipeline",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": "pipelines"},
        "refresh": 2,  # whenever the time range changes, so that a new pipeline appears
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _place(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Panels from left to right, a new line where the width is full, each row under its heading."""
    placed: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        heading = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        placed.append({"id": len(placed) + 1, "gridPos": {"x": 0, "y": y, "w": GRID_WIDTH, "h": ROW_HEIGHT}, **heading})
        y += ROW_HEIGHT
        x = 0
        for panel in row.panels:
            if x + panel.width > GRID_WIDTH:
                x, y = 0, y + PANEL_HEIGHT
            position = {"x": x, "y": y, "w": panel.width, "h": PANEL_HEIGHT}
            placed.append({"id": len(placed) + 1, "gridPos": position, **_panel_model(panel)})
            x += panel.width
        y += PANEL_HEIGHT
    return placed


def _panel_model(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.unit == "bool" and any(name in query.expression for name in _GOOD_WHEN_ONE for query in panel.queries):
        defaults["thresholds"] = _FROM_RED_TO_GREEN
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _DATASOURCE, "expr": query.expression, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    DASHBOARD_FILE.write_text(render(), encoding="utf-8")
