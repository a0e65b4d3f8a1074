"""What a check pushes, and that a gateway which misbehaves costs it two seconds and a line."""

import time
from contextlib import AbstractContextManager

import pytest

from edgepress.observe.metrics_push import PUSH_TIMEOUT_S, PUSHGATEWAY_VARIABLE
from edgepress_pipelines.trigger.metrics import push_trigger
from tests.unit.broken_servers import answering_server, dripping_server, nonsense_server, swallowing_server


@pytest.mark.parametrize("started", [True, False])
def test_the_last_start_stays_when_none_was_due(started: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering_server(200) as gateway:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, gateway.url)
        assert push_trigger("digits", started=started) is None
    [(method, path, body)] = gateway.seen
    assert (method, path) == ("POST", "/metrics/job/edgepress-trigger/pipeline/digits")
    told = [line.split()[0] for line in body.splitlines() if not line.startswith("#")]
    assert told == [
        "edgepress_trigger_last_success_timestamp_seconds",
        *(["edgepress_trigger_last_start_timestamp_seconds"] if started else []),
    ]


@pytest.mark.parametrize("server", [nonsense_server, swallowing_server, dripping_server])
def test_a_gateway_that_misbehaves_costs_two_seconds(server: "type[AbstractContextManager[str]]", monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as url:
        monkeypatch.setenv(PUSHGATEWAY_VARIABLE, url)
        began_s = time.monotonic()
        problem = push_trigger("digits", started=True)
        took_s = time.monotonic() - began_s
    assert problem is not None
    assert problem.startswith(f"{PUSHGATEWAY_VARIABLE}: the metrics could not be pushed (")
    assert took_s < PUSH_TIMEOUT_S + 2  # on a busy machine


@pytest.mark.parametrize("url", ["http://me:hunter2@gateway.invalid", "http://me:hunter2@[::1", "http://me:hunter2@gateway:port"])
def test_a_password_in_the_address_is_not_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUSHGATEWAY_VARIABLE, url)
    problem = push_trigger("digits", started=True)
    assert problem is not None
    assert "hunter2" not in problem
