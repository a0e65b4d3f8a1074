"""Alerts fire when they should and only then, the dashboard is up to date, and both use only metrics that exist."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from edgepress import telemetry
from manifests.components.monitoring.dashboard import DASHBOARD_FILE
from manifests.components.monitoring.dashboard import render as render_dashboard
from tests.manifests.promql import references
from tests.manifests.rendered import MANIFESTS, of_kind, promtool, render

ALERTS = MANIFESTS / "components" / "monitoring" / "alerts.yaml"
ALERT_CASES = sorted(Path(__file__).parent.glob("alert_cases*.yaml"))

METRICS = {metric.name: metric for metric in telemetry.METRICS}
OTHERS_METRICS = {"up": {"pipeline"}, "push_time_seconds": {"pipeline"}, "push_failure_time_seconds": {"pipeline"}}
"""Of Prometheus and of the Pushgateway, which keeps a time for each group."""
TARGET_LABELS = {"job", "instance", "namespace"}
GROUP_LABELS = {telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE}
"""Labels that a pushed metric gets from its group."""
LABEL_VALUES = {
    "edgepress_receiver_requests_total": {"source": telemetry.SourceValue, "outcome": telemetry.RequestOutcome},
    "edgepress_trigger_checks_total": {"outcome": telemetry.CheckOutcome},
}
JOBS = {telemetry.TASK_JOB, telemetry.TRIGGER_JOB, telemetry.RECEIVER_JOB}


def alert_groups() -> list[dict[str, Any]]:
    """Groups of rules as Prometheus itself reads them: promtool knows nothing of the wrapper."""
    (wrapper,) = [manifest for manifest in yaml.safe_load_all(ALERTS.read_text()) if manifest["kind"] == "PrometheusRule"]
    groups: list[dict[str, Any]] = wrapper["spec"]["groups"]
    return groups


def alerts() -> list[dict[str, Any]]:
    return [rule for group in alert_groups() for rule in group["rules"]]


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    """Title of the panel, and an expression as Grafana sends it once its variables are filled in."""
    for panel in json.loads(DASHBOARD_FILE.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$pipeline", "digits|shelf-camera").replace("$__rate_interval", "2m")


def expressions() -> list[tuple[str, str]]:
    return [*((rule["alert"], rule["expr"]) for rule in alerts()), *dashboard_expressions()]


def test_promtool_finds_nothing_wrong_with_the_alerts(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yaml"
    rules.write_text(yaml.safe_dump({"groups": alert_groups()}))
    checked = promtool("check", "rules", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts())} rules found" in checked.stdout


@pytest.mark.parametrize("cases", ALERT_CASES, ids=lambda cases: cases.stem)
def test_alerts_fire_when_they_should(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"groups": alert_groups()}))
    tested = promtool("test", "rules", shutil.copy(cases, tmp_path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = [test for cases in ALERT_CASES for test in yaml.safe_load(cases.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert fires == quiet == {rule["alert"] for rule in alerts()}


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{index}", "expr": expression} for index, (_, expression) in enumerate(dashboard_expressions())]
    assert len(rules) >= len(telemetry.METRICS)
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=[where for where, _ in expressions()])
def test_only_metrics_and_labels_that_exist_are_used(where: str, expression: str) -> None:
    found = references(expression)
    assert found.metrics, f"{where}: no metric was found in {expression}"
    known: set[str] = set()
    for selector in found.selectors:
        metric = METRICS.get(selector.metric)
        assert metric is not None or selector.metric in OTHERS_METRICS, f"{where}: {selector.metric} is in no list"
        own = OTHERS_METRICS[selector.metric] if metric is None else set(metric.labels)
        pushed = set() if metric is None or set(metric.exporters) == {"receiver"} else GROUP_LABELS
        known |= own | pushed
        for label, _, value in selector.matchers:
            assert label in own | TARGET_LABELS, f"{where}: {selector.metric} has no label {label}"
            if label == "job":
                assert set(value.split("|")) <= JOBS, f"{where}: nothing is exported by the job {value}"
            elif label in LABEL_VALUES.get(selector.metric, {}):
                assert set(value.split("|")) <= set(get_args(LABEL_VALUES[selector.metric][label])), f"{where}: {label} is never {value}"
    assert found.grouped_by <= known, f"{where}: grouped by a label that nothing there has"


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {metric for _, expression in dashboard_expressions() for metric in references(expression).metrics}
    assert shown == set(METRICS)


def test_dashboard_is_written_from_the_metrics_that_there_are() -> None:
    assert DASHBOARD_FILE.read_text() == render_dashboard(), "run `make manifests` and read the difference"


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD_FILE.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def test_grafanas_sidecar_finds_the_dashboard() -> None:
    (dashboard,) = [
        manifest for manifest in of_kind(render("production"), "ConfigMap") if manifest["metadata"]["name"] == "edgepress-dashboard"
    ]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["edgepress.json"])["uid"] == "edgepress"


def test_service_monitors_scrape_services_that_exist() -> None:
    manifests = render("production")
    services = of_kind(manifests, "Service")
    monitors = of_kind(manifests, "ServiceMonitor")
    assert {monitor["metadata"]["name"] for monitor in monitors} == {telemetry.RECEIVER_JOB, "edgepress-pushgateway"}
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [service for service in services if wanted <= service["metadata"]["labels"].items()]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
        honors = [endpoint.get("honorLabels", False) for endpoint in monitor["spec"]["endpoints"]]
        assert honors == [service["metadata"]["name"] == "edgepress-pushgateway"], (
            "what was pushed keeps its job, what is scraped has the Service's"
        )


def test_whoever_sends_events_reaches_neither_the_probes_port_nor_the_metrics() -> None:
    """There no token is asked for, and connections there are what a probe needs."""
    manifests = render("production")
    (deployment,) = [found for found in of_kind(manifests, "Deployment") if found["metadata"]["name"] == telemetry.RECEIVER_JOB]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {"status"}
    assert f"0.0.0.0:{ports['status']}" == container["args"][container["args"].index("--listen-status") + 1]
    opened = {policy["metadata"]["name"]: str(policy["spec"]) for policy in of_kind(manifests, "NetworkPolicy")}
    assert {name for name, spec in opened.items() if f"'port': {ports['status']}," in spec} == {"allow-scrape"}
    assert {name for name, spec in opened.items() if f"'port': {ports['http']}," in spec and "Ingress" in spec} == {"allow-events"}


def test_promtool_finds_nothing_wrong_with_the_names_of_metrics(tmp_path: Path) -> None:
    lines = []
    for metric in telemetry.METRICS:
        labels = ",".join(f'{label}="x"' for label in metric.labels)
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}", f"{metric.name}{{{labels}}} 1"]
    checked = promtool("check", "metrics", standard_input="\n".join(lines) + "\n")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
