"""Pushing metrics: what is sent, and that a gateway which misbehaves costs a task two seconds and a warning at most."""

import re
import time
from contextlib import AbstractContextManager

import pytest

from edgepress import telemetry
from edgepress.contracts.task_event import TaskEvent
from edgepress.observe.identity import TaskIdentity
from edgepress.observe.metrics_push import PUSH_TIMEOUT_S, PUSHGATEWAY_VARIABLE, push_metrics
from edgepress.observe.telling import Figure, listening, tell_figure
from tests.unit.broken_servers import answering_server, closed_port, dripping_server, swallowing_server

IDENTITY = TaskIdentity(task="prune", recipe="int8", pipeline="digits", run_id="r1")
ENDED = TaskEvent(task="prune", recipe="int8", state="succeeded", unix_time_s=1_700_000_000.5, duration_s=12.5)


def without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_task_of_a_recipe_adds_to_its_own_group(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        assert push_metrics(IDENTITY, ENDED, [Figure(telemetry.TASK_VALIDATION["accuracy"], 0.5, None)]) is None
    [(method, path, body)] = gateway.seen
    assert method == "POST"  # adds; PUT would remove what this task did not tell
    assert path == "/metrics/job/edgepress/pipeline/digits/recipe/int8/task/prune"
    assert without_comments(body) == [
        "edgepress_task_duration_seconds 12.5",
        "edgepress_task_succeeded 1.0",
        "edgepress_task_last_completion_timestamp_seconds 1.7000000005e+09",
        "edgepress_task_validation_accuracy_ratio 0.5",
    ]
    assert "r1" not in path + body, "a label of its own for every run would fill the gateway"


def test_a_task_of_the_run_tells_of_each_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = TaskIdentity(task="benchmark", recipe=None, pipeline="digits", run_id="r1")
    failed = ENDED.model_copy(update={"task": "benchmark", "recipe": None, "state": "failed"})
    latency = telemetry.CANDIDATE["latency_p50_ms"]
    figures = [Figure(latency, 0.001, "int8"), Figure(latency, 0.002, "baseline")]
    with answering_server(202) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        assert push_metrics(identity, failed, figures) is None
    [(_, path, body)] = gateway.seen
    assert path == "/metrics/job/edgepress/pipeline/digits/task/benchmark"
    lines = without_comments(body)
    assert "edgepress_task_succeeded 0.0" in lines
    assert 'edgepress_candidate_latency_p50_seconds{recipe="int8"} 0.001' in lines
    assert 'edgepress_candidate_latency_p50_seconds{recipe="baseline"} 0.002' in lines


def test_without_a_gateway_or_a_pipeline_nothing_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PUSHGATEWAY_VARIABLE, raising=False)
    assert push_metrics(IDENTITY, ENDED, []) is None
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        assert push_metrics(TaskIdentity(task="prune", recipe=None, pipeline="", run_id="r1"), ENDED, []) is None
    assert gateway.seen == []


@pytest.mark.parametrize("server", [closed_port, swallowing_server, dripping_server])
def test_a_gateway_that_does_not_answer_costs_two_seconds(
    server: "type[AbstractContextManager[str]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as url:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, url)
        started = time.monotonic()
        problem = push_metrics(IDENTITY, ENDED, [])
        took_s = time.monotonic() - started
    assert problem is not None
    assert re.fullmatch(rf"{PUSHGATEWAY_VARIABLE}: the metrics could not be pushed \(.+\)", problem)
    assert took_s < PUSH_TIMEOUT_S + 2  # on a busy machine; unbounded, it would never end


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_gateway_that_refuses_is_told_and_not_asked_again(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering_server(status) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        problem = push_metrics(IDENTITY, ENDED, [])
    assert problem is not None
    assert str(status) in problem
    assert len(gateway.seen) == 1


@pytest.mark.parametrize("url", ["not a url", "ftp://gateway", "http://gateway.invalid:9091", "http://[::1"])
def test_an_address_that_is_none_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUSHGATEWAY_VARIABLE, url)
    assert push_metrics(IDENTITY, ENDED, []) is not None


def test_an_address_with_a_password_is_neither_used_nor_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url.replace("http://", "http://me:hunter2@"))
        problem = push_metrics(IDENTITY, ENDED, [])
    assert problem is not None
    assert re.fullmatch(rf"{PUSHGATEWAY_VARIABLE}: holds a name or a password, so nothing was pushed; .+", problem)
    assert "hunter2" not in problem
    assert gateway.seen == []


def test_figures_are_heard_only_while_a_task_runs() -> None:
    tell_figure(telemetry.RELEASE, 1.0)
    with listening() as told:
        tell_figure(telemetry.RELEASE, 2.0)
        tell_figure(telemetry.CANDIDATE["accuracy"], float("nan"), recipe="int8")
    tell_figure(telemetry.RELEASE, 3.0)
    assert told.figures == [Figure(telemetry.RELEASE, 2.0, None)]


@pytest.mark.parametrize("metric", [metric for metric in telemetry.METRICS if "task" not in metric.exporters])
def test_a_metric_of_somebody_else_cannot_be_told(metric: telemetry.Metric) -> None:
    with pytest.raises(ValueError, match=metric.name):
        tell_figure(metric, 1.0)


@pytest.mark.parametrize("metric", telemetry.METRICS)
def test_metrics_are_named_as_prometheus_has_it(metric: telemetry.Metric) -> None:
    assert re.fullmatch(r"edgepress_[a-z][a-z0-9_]*", metric.name)
    assert metric.help.endswith(".")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not metric.name.endswith(("_ms", "_us", "_percent", "_kb")), "base units only"


def test_no_metric_is_there_twice() -> None:
    names = [metric.name for metric in telemetry.METRICS]
    assert len(names) == len(set(names))
