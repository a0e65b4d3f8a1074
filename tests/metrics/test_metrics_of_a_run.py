"""Two whole runs push to Debian's Pushgateway; Prometheus scrapes it and answers for every metric that tasks export."""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edgepress import telemetry
from edgepress.observe.metrics_push import PUSHGATEWAY_VARIABLE
from edgepress.tasks.registry import TASKS, metrics_of
from tests.metrics.monitoring import Monitoring, monitoring
from tests.pipelines.small_project import FinishedRun, SmallProject

PIPELINE = "small"
EXIT_HANDLER = {telemetry.RUN_SUCCEEDED, telemetry.RUN_LAST_COMPLETION}
"""Told by the exit handler, which a cluster alone has."""

CLASSIFICATION = TASKS["classification"]
NOT_MEASURED = {"worst_slice_accuracy", "latency_p99_ms"}
"""The data has no slices, and the benchmark too few invocations."""
OF_MODELS = {telemetry.CANDIDATE[metric.name] for metric in metrics_of(CLASSIFICATION) if metric.name not in NOT_MEASURED}
OF_OTHER_TASKS = {*telemetry.CANDIDATE.values(), *telemetry.TASK_VALIDATION.values()} - OF_MODELS
OF_OTHER_TASKS -= {telemetry.TASK_VALIDATION[CLASSIFICATION.selecting.name]}
OF_TASKS = {metric for metric in telemetry.METRICS if "task" in metric.exporters} - EXIT_HANDLER - OF_OTHER_TASKS
RUN_TIMEOUT_S = 850.0
"""A run takes a minute on two idle cores."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Observed:
    """A run that passed, and what watched it."""

    monitoring: Monitoring
    project: SmallProject
    run: FinishedRun
    began: float


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with monitoring(tmp_path_factory.mktemp("monitoring")) as servers:
        project = SmallProject(tmp_path_factory.mktemp("project"))
        # Pruning that begins after the training: the recipe gives no candidate, and the run goes on.
        broken = {"recipe": "broken", "prune": {"final_sparsity": 0.5, "begin_step": 10_000, "train": {"epochs": 1}}, "convert": {}}
        project.config["recipes"] = [*project.config["recipes"][1:], broken]
        began = time.time()
        run = project.run(environment={PUSHGATEWAY_VARIABLE: servers.gateway_url}, timeout_s=RUN_TIMEOUT_S)
        assert run.exit_code == 0, run.output
        servers.await_scrape()
        yield Observed(servers, project, run, began)


def values(monitoring: Monitoring, metric: telemetry.Metric, *labels: str) -> dict[tuple[str | None, ...], float]:
    """The value of a metric of this pipeline for each combination of labels."""
    found = monitoring.query(f'{metric.name}{{job="{telemetry.TASK_JOB}",pipeline="{PIPELINE}"}}')
    by_labels = {tuple(series.get(label) for label in labels): value for series, value in found}
    assert len(by_labels) == len(found), f"{metric.name}: more than one series for the same {labels}"
    return by_labels


def value(monitoring: Monitoring, metric: telemetry.Metric) -> float:
    [found] = values(monitoring, metric).values()
    return found


def test_prometheus_holds_every_metric_of_tasks_and_no_other(observed: Observed) -> None:
    found = {series["__name__"] for series, _ in observed.monitoring.query('{__name__=~"edgepress_.*"}')}
    assert found == {metric.name for metric in OF_TASKS}


@pytest.mark.parametrize("metric", sorted(OF_TASKS))
def test_a_series_has_the_labels_and_the_help_that_telemetry_says(metric: telemetry.Metric, observed: Observed) -> None:
    series = [labels for labels, _ in observed.monitoring.query(metric.name)]
    assert series
    allowed = {"__name__", "instance", "job", telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE}
    for labels in series:
        assert set(metric.labels) - {telemetry.RECIPE} <= set(labels) <= allowed
        assert labels["job"] == telemetry.TASK_JOB
    assert any(set(metric.labels) <= set(labels) for labels in series)
    exposition = observed.monitoring.exposition().splitlines()
    assert f"# HELP {metric.name} {metric.help}" in exposition
    assert f"# TYPE {metric.name} {metric.type}" in exposition


def test_every_task_that_ran_says_how(observed: Observed) -> None:
    succeeded = values(observed.monitoring, telemetry.TASK_SUCCEEDED, telemetry.TASK, telemetry.RECIPE)
    assert set(succeeded) == observed.run.executed()
    assert set(succeeded.values()) == {1.0}
    durations = values(observed.monitoring, telemetry.TASK_DURATION, telemetry.TASK, telemetry.RECIPE)
    assert set(durations) == set(succeeded)
    assert 0 < min(durations.values()) <= max(durations.values()) < time.time() - observed.began
    ended = values(observed.monitoring, telemetry.TASK_LAST_COMPLETION, telemetry.TASK, telemetry.RECIPE)
    assert observed.began < min(ended.values()) <= max(ended.values()) < time.time()
    trained = values(observed.monitoring, telemetry.TASK_VALIDATION["accuracy"], telemetry.TASK, telemetry.RECIPE)
    assert set(trained) == {("train", "baseline"), ("prune", "pruned-int8")}
    assert all(0.5 < accuracy <= 1 for accuracy in trained.values())


def test_candidates_are_as_the_verdict_has_them(observed: Observed) -> None:
    verdict = {candidate["recipe"]: candidate for candidate in observed.run.verdict["candidates"]}
    failed = values(observed.monitoring, telemetry.CANDIDATE_FAILED, telemetry.RECIPE)
    assert failed == {("pruned-int8",): 0.0, ("broken",): 1.0}
    assert verdict["broken"]["outcome"] == "failed"
    measured = {name: value for name, value in verdict["pruned-int8"]["metrics"].items() if value is not None}
    assert {"accuracy", "size_bytes", "latency_p50_ms", "latency_p95_ms", "peak_memory_bytes", "macro_f1", "agreement"} <= set(measured)
    for name, value_of_verdict in measured.items():
        told = values(observed.monitoring, telemetry.CANDIDATE[name], telemetry.RECIPE)
        assert set(told) == {("baseline",), ("pruned-int8",)}
        assert told["pruned-int8",] == pytest.approx(value_of_verdict * (1e-3 if name.endswith("_ms") else 1.0))


def test_the_gate_and_the_release_tell_what_they_did(observed: Observed) -> None:
    assert value(observed.monitoring, telemetry.GATE_PASSED) == 1
    assert value(observed.monitoring, telemetry.GATE_INCONCLUSIVE) == 0
    assert value(observed.monitoring, telemetry.GATE_TEST_SPLIT_USES) == observed.run.verdict["test_split_uses"]
    judged, released = (value(observed.monitoring, metric) for metric in (telemetry.GATE_VERDICT, telemetry.RELEASE))
    assert observed.began < judged < released < time.time()


def test_promtool_finds_nothing_to_object_to(observed: Observed) -> None:
    exposition = observed.monitoring.exposition().splitlines()
    comment = re.compile(r"^# (HELP|TYPE) ")
    ours = "".join(f"{line}\n" for line in exposition if comment.sub("", line).startswith("edgepress_"))
    assert "edgepress_gate_passed" in ours
    checked = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_next_run_replaces_what_is_of_a_run_and_lets_removed_recipes_go(observed: Observed) -> None:
    groups_before = groups(observed.monitoring)
    judged_before, released_before = (value(observed.monitoring, metric) for metric in (telemetry.GATE_VERDICT, telemetry.RELEASE))
    project = observed.project
    project.config["recipes"] = project.config["recipes"][:1]
    project.config["gate"] = {"objective": "size_gzip_bytes", "size_bytes": {"max": 10}}
    rejected = project.run(environment={PUSHGATEWAY_VARIABLE: observed.monitoring.gateway_url}, timeout_s=RUN_TIMEOUT_S)
    assert rejected.exit_code == 10, rejected.output
    assert ("evaluate", "pruned-int8") not in rejected.executed(), "from the cache, and yet the candidate's metrics are this run's"
    observed.monitoring.await_scrape()
    assert set(values(observed.monitoring, telemetry.CANDIDATE_FAILED, telemetry.RECIPE)) == {("pruned-int8",)}
    assert set(values(observed.monitoring, telemetry.CANDIDATE["accuracy"], telemetry.RECIPE)) == {("pruned-int8",), ("baseline",)}
    assert value(observed.monitoring, telemetry.GATE_PASSED) == 0
    assert value(observed.monitoring, telemetry.GATE_VERDICT) > judged_before
    assert value(observed.monitoring, telemetry.RELEASE) == released_before
    assert groups(observed.monitoring) == groups_before, "groups must not grow with the number of runs"


def groups(monitoring: Monitoring) -> set[tuple[str | None, ...]]:
    found = monitoring.query("push_time_seconds")
    return {tuple(series.get(label) for label in ("job", telemetry.PIPELINE, telemetry.TASK, telemetry.RECIPE)) for series, _ in found}
