"""What the kubelet and Prometheus are told, and how the receiver ends."""

import threading
from pathlib import Path

import pytest

from edgepress_pipelines.trigger.receiver.pending import Delays
from tests.unit.running_receiver import WAIT_S, CountedChecks, payload, post, request, running_receiver


def test_health_is_also_told_to_head(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver:
        for path in ("/healthz", "/readyz"):
            assert request(receiver.status_port, "GET", path, token=None).json() == {"status": "ok"}
            head = request(receiver.status_port, "HEAD", path, token=None)
            assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("POST", "/events/s3", 404, None),
    ],
)
def test_nothing_else_is_answered_there(tmp_path: Path, method: str, path: str, status: int, allow: str | None) -> None:
    with running_receiver(tmp_path) as receiver:
        answer = request(receiver.status_port, method, path)
        assert (answer.status, answer.headers.get("allow")) == (status, allow)


def test_a_check_that_never_ends_is_unhealthy(tmp_path: Path) -> None:
    checks = CountedChecks(hold=threading.Event())
    assert checks.hold is not None
    with running_receiver(tmp_path, checks=checks, check_limit_s=0.0) as receiver:
        checks.wait_for(begun=1)
        for path in ("/healthz", "/readyz"):
            answer = request(receiver.status_port, "GET", path, token=None)
            assert (answer.status, answer.json()["reason"]) == (503, "a check has been under way for more than 0 s")
        checks.hold.set()


def test_a_receiver_that_takes_no_events_in_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_receiver(tmp_path) as receiver:
        receiver.server.stop(WAIT_S)
        assert request(receiver.status_port, "GET", "/healthz", token=None).status == 200
        monkeypatch.setattr("edgepress_pipelines.trigger.receiver.server.TURN_LIMIT_S", 0.0)
        answer = request(receiver.status_port, "GET", "/healthz", token=None)
        assert (answer.status, answer.json()["reason"]) == (503, "no events are taken in")


def test_what_was_accepted_is_checked_before_the_end(tmp_path: Path) -> None:
    with running_receiver(tmp_path, delays=Delays(debounce_s=600.0)) as receiver:
        receiver.checks.wait_for(done=1)
        assert post(receiver.port, "/events/s3", payload("aws_object_created")).status == 202
        assert receiver.checks.begun == 1
        assert receiver.worker.stop(WAIT_S)
        assert receiver.checks.done == 2
        assert request(receiver.status_port, "GET", "/healthz", token=None).status == 200
        assert request(receiver.status_port, "GET", "/readyz", token=None).json()["reason"] == "stopping"


def test_the_last_check_is_not_repeated_when_it_fails(tmp_path: Path) -> None:
    checks = CountedChecks(answers=["unchanged", RuntimeError("a defect")])
    with running_receiver(tmp_path, checks=checks, delays=Delays(debounce_s=600.0)) as receiver:
        receiver.checks.wait_for(done=1)
        post(receiver.port, "/events/s3", payload("aws_object_created"))
    assert checks.done == 2
