"""The receiver over real HTTP on loopback: who gets in, what is answered, and what comes of it."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgepress.errors import InputError, StorageError
from edgepress_pipelines.trigger.receiver.core import ReceiverState
from edgepress_pipelines.trigger.receiver.pending import Delays
from edgepress_pipelines.trigger.receiver.rate_limit import TokenBucket
from edgepress_pipelines.trigger.receiver.serve import parse_address
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from tests.unit.running_receiver import (
    TOKEN,
    CountedChecks,
    RunningReceiver,
    counted,
    new_event,
    payload,
    post,
    request,
    requests_counted,
    running_receiver,
)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """One for all tests that ask it, so they count what they add."""
    with running_receiver(tmp_path_factory.mktemp("receiver"), watched=("s3://data/x",)) as receiver:
        receiver.checks.wait_for(done=1)
        yield receiver


def test_the_start_is_caught_up_with_one_check(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver:
        receiver.checks.wait_for(done=1)
        assert counted(receiver)['edgepress_trigger_checks_total{outcome="unchanged",pipeline="digits"}'] == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/events/s3", "aws_object_created"),
        ("/events/s3", "minio_object_created"),
        ("/events/s3", "eventbridge_object_created"),
        ("/events/s3", "seaweedfs_object_created"),
        ("/events/alertmanager", "alertmanager_firing"),
    ],
)
def test_an_event_is_one_check_however_often_it_is_told(receiver: RunningReceiver, path: str, name: str) -> None:
    source, begun = path.rpartition("/")[2], receiver.checks.begun
    before = [requests_counted(receiver, outcome, source) for outcome in ("accepted", "duplicate")]
    first = post(receiver.port, path, payload(name))
    assert (first.status, first.json()) == (202, {"outcome": "accepted"})
    receiver.checks.wait_for(done=begun + 1)
    again = post(receiver.port, path, payload(name))
    assert (again.status, again.json()) == (200, {"outcome": "duplicate"})
    assert [requests_counted(receiver, outcome, source) for outcome in ("accepted", "duplicate")] == [count + 1 for count in before]
    assert receiver.checks.begun == begun + 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/events/s3", payload("aws_test_event")),
        ("/events/s3", payload("minio_object_accessed")),
        ("/events/s3", payload("aws_object_created").replace(b'"data"', b'"other"')),
        ("/events/s3", b'{"Records": []}'),
        ("/events/alertmanager", payload("alertmanager_resolved")),
    ],
)
def test_what_is_of_no_interest_is_no_check(receiver: RunningReceiver, path: str, body: bytes) -> None:
    begun = receiver.checks.begun
    answer = post(receiver.port, path, body)
    assert (answer.status, answer.json()) == (200, {"outcome": "ignored"})
    assert receiver.checks.begun == begun


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}0"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
    ],
)
def test_without_the_token_nobody_gets_in(receiver: RunningReceiver, headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    before, begun = requests_counted(receiver, "unauthorized", "s3"), receiver.checks.begun
    with caplog.at_level(logging.INFO):
        answer = request(receiver.port, "POST", "/events/s3", new_event(), token=None, headers=headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert requests_counted(receiver, "unauthorized", "s3") == before + 1
    assert TOKEN[:-1] not in caplog.text
    assert receiver.checks.begun == begun


def test_a_refused_client_is_whom_the_socket_names(receiver: RunningReceiver, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        request(receiver.port, "POST", "/events/s3", token=None, headers={"X-Forwarded-For": "192.0.2.1"})
    assert [vars(record)["client"] for record in caplog.records] == ["127.0.0.1"]


def test_a_rotated_token_counts_at_once(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver:
        event = payload("alertmanager_resolved")
        receiver.token_file.write_text(f"{TOKEN}\n{'f' * 32}\n")
        assert [post(receiver.port, "/events/alertmanager", event, token=token).status for token in (TOKEN, "f" * 32)] == [200, 200]
        receiver.token_file.write_text("f" * 32)
        assert [post(receiver.port, "/events/alertmanager", event, token=token).status for token in (TOKEN, "f" * 32)] == [401, 200]
        assert request(receiver.status_port, "GET", "/readyz", token=None).status == 200
        receiver.token_file.unlink()
        assert post(receiver.port, "/events/alertmanager", event).status == 503
        ready = request(receiver.status_port, "GET", "/readyz", token=None)
        assert (ready.status, "cannot be read" in ready.json()["reason"]) == (503, True)
        assert request(receiver.status_port, "GET", "/healthz", token=None).status == 200


@pytest.mark.parametrize("content", ["", "\n \n", "short", "0123456789 abcdef", "0123456789abcdeü"])
def test_a_file_without_a_good_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(InputError, match="--receiver-token-file") as raised:
        TokenFile(tmp_path / "token").read()
    assert "short" not in str(raised.value).replace("shorter", "")


def test_too_many_are_told_when_to_come_again_and_looked_into_all_the_same(tmp_path: Path) -> None:
    state = ReceiverState(bucket=TokenBucket(capacity=2, refill_per_s=0.1))
    with running_receiver(tmp_path, state=state) as receiver:
        receiver.checks.wait_for(done=1)
        resolved = payload("alertmanager_resolved")
        answers = [post(receiver.port, "/events/alertmanager", resolved) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert 5 <= int(answers[2].headers["retry-after"]) <= 10
        receiver.checks.wait_for(done=2)
        # Whoever has no token takes none of those of the others.
        assert post(receiver.port, "/events/alertmanager", resolved, token=None).status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/events/s3", 405, "POST"),
        ("DELETE", "/events/alertmanager", 405, "POST"),
        ("GET", "/healthz", 404, None),
        ("GET", "/metrics", 404, None),
        ("POST", "/", 404, None),
        ("GET", "/events", 404, None),
        ("POST", "/events/s3/", 404, None),
        ("GET", "/../etc/passwd", 404, None),
        ("BREW", "/events/s3", 405, "POST"),
    ],
)
def test_other_methods_and_paths_are_refused(receiver: RunningReceiver, method: str, path: str, status: int, allow: str | None) -> None:
    answer = request(receiver.port, method, path)
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"secret": "hunter2"}', b'{"Records": ["hunter2"]}'])
def test_a_body_that_is_no_event_is_refused_and_not_repeated(
    receiver: RunningReceiver, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = requests_counted(receiver, "malformed", "s3")
    with caplog.at_level(logging.INFO):
        answer = post(receiver.port, "/events/s3", body)
    assert answer.status == 400
    assert "hunter2" not in answer.body.decode() + caplog.text
    assert requests_counted(receiver, "malformed", "s3") == before + 1


def test_events_at_the_same_time_are_one_check_more(tmp_path: Path) -> None:
    with running_receiver(tmp_path, delays=Delays(debounce_s=0.5)) as receiver, ThreadPoolExecutor(16) as pool:
        receiver.checks.wait_for(done=1)

        events = [new_event() for _ in range(40)]
        answers = pool.map(lambda event: post(receiver.port, "/events/s3", event).status, events * 2)
        assert list(answers).count(202) == 40
        receiver.checks.wait_for(done=2)
        assert receiver.checks.begun == 2


def test_an_event_during_a_check_is_another_check(tmp_path: Path) -> None:
    checks = CountedChecks(hold=threading.Event())
    assert checks.hold is not None
    with running_receiver(tmp_path, checks=checks) as receiver:
        checks.wait_for(begun=1)
        assert post(receiver.port, "/events/alertmanager", payload("alertmanager_firing")).status == 202
        assert checks.begun == 1
        checks.hold.set()
        checks.wait_for(done=2)


def test_a_check_that_fails_is_tried_until_it_does_not(tmp_path: Path) -> None:
    checks = CountedChecks(answers=[StorageError("unreachable"), RuntimeError("a defect"), StorageError("unreachable"), "started"])
    with running_receiver(tmp_path, checks=checks) as receiver:
        checks.wait_for(done=4)
        post(receiver.port, "/events/alertmanager", payload("alertmanager_firing"))
        checks.wait_for(done=5)
        while 'edgepress_trigger_checks_total{outcome="unchanged",pipeline="digits"}' not in (samples := counted(receiver)):
            pass
    assert samples['edgepress_trigger_checks_total{outcome="failed",pipeline="digits"}'] == 3
    assert samples['edgepress_trigger_checks_total{outcome="started",pipeline="digits"}'] == 1
    assert samples['edgepress_trigger_last_start_timestamp_seconds{pipeline="digits"}'] > 1e9


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("0.0.0.0:8080", ("0.0.0.0", 8080)), ("localhost:0", ("localhost", 0)), ("[::]:80", ("::", 80))],
)
def test_addresses_to_listen_on(text: str, parsed: tuple[str, int]) -> None:
    assert parse_address("--listen", text) == parsed


@pytest.mark.parametrize("text", ["8080", ":8080", "::1:80", "host:", "host:65536", "http://host:80", "[host]:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--listen .*is not HOST:PORT"):
        parse_address("--listen", text)
