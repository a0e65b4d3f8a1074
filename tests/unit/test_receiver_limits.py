"""Senders that say too much, too little or nothing at all, over real sockets: what they are told, and what they take from the others."""

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgepress_pipelines.trigger.receiver.connection import MAX_DRAINED_BYTES, BoundedConnection, Limits
from edgepress_pipelines.trigger.receiver.events import Event
from edgepress_pipelines.trigger.receiver.handler import EVENT_PATHS, MAX_BODY_BYTES
from tests.unit.running_receiver import (
    HEAD,
    PATIENT,
    TOKEN,
    RunningReceiver,
    connect,
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


def raw(receiver: RunningReceiver, sent: bytes) -> bytes:
    """What comes back for these bytes, until the receiver closes."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as connection:
        connection.sendall(sent)
        return all_of(connection)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the receiver closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: +5\r\n", 400),
        (b"Transfer-Encoding: gzip\r\n", 400),
        (f"Content-Length: {MAX_BODY_BYTES + 1}\r\n".encode(), 413),
        (f"Content-Length: {'9' * 20}\r\n".encode(), 413),
        (f"Content-Length: {'9' * 5000}\r\n".encode(), 400),
        (b"".join(b"X-%d: 1\r\n" % number for number in range(4000)), 431),
        (b"X: " + b"1" * 70_000 + b"\r\n", 431),
    ],
)
def test_lengths_are_strict(receiver: RunningReceiver, headers: bytes, status: int) -> None:
    answer = raw(receiver, HEAD + headers + b"\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_what_is_no_http_is_not_repeated(receiver: RunningReceiver) -> None:
    assert b"hunter2" not in raw(receiver, b"hunter2 hunter2 hunter2 hunter2\r\n\r\n")


def test_a_refused_body_does_not_reset_the_connection(receiver: RunningReceiver) -> None:
    body = b" " * (MAX_BODY_BYTES - 1)
    assert post(receiver.port, "/events/s3", body).status == 400
    with refused_sender(receiver) as connection:
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_refused_sender_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    with running_receiver(tmp_path, limits=PATIENT) as receiver, refused_sender(receiver) as connection:
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * (64 * MAX_DRAINED_BYTES))
        assert post(receiver.port, "/events/s3", new_event()).status == 202


@contextmanager
def refused_sender(receiver: RunningReceiver) -> Iterator[socket.socket]:
    """A sender of a large body that has been answered already."""
    with connect(receiver.port) as connection:
        connection.sendall(HEAD.replace(TOKEN.encode(), b"wrong") + b"Content-Length: 99999999\r\n\r\n")
        assert select.select([connection], [], [], 30)[0]
        yield connection


def test_expectation_is_met_when_the_body_is_wanted(receiver: RunningReceiver) -> None:
    body = new_event()
    sent = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert raw(receiver, sent).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


def test_a_header_is_bounded_as_a_whole(receiver: RunningReceiver) -> None:
    line = b"X: " + b"1" * 995 + b"\r\n"
    assert raw(receiver, HEAD + line * 30 + b"\r\n").startswith(b"HTTP/1.1 411 ")
    answer = raw(receiver, HEAD + line * 40 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"a header has at most 32768 bytes" in answer


def test_a_large_header_and_its_body_are_not_counted_together(receiver: RunningReceiver) -> None:
    body = new_event()
    sent = HEAD + b"X: " + b"1" * 32_000 + b"\r\n" + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert raw(receiver, sent).startswith(b"HTTP/1.1 202 ")


def test_a_header_that_breaks_off_is_no_request(receiver: RunningReceiver, caplog: pytest.LogCaptureFixture) -> None:
    before = requests_counted(receiver, "malformed", "s3")
    with caplog.at_level(logging.INFO), connect(receiver.port) as connection:
        connection.sendall(HEAD + b"Content-Length: 0\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""
    assert "a connection broke before its request was answered" in caplog.text
    assert requests_counted(receiver, "malformed", "s3") == before


def test_a_body_that_breaks_off_is_no_event(receiver: RunningReceiver, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), connect(receiver.port) as connection:
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""
        while not caplog.records:
            time.sleep(0.01)
    assert [vars(record)["reason"] for record in caplog.records] == ["the body ends before its Content-Length"]


def test_a_sender_that_has_said_all_may_close_its_side(receiver: RunningReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    may_answer = threading.Event()

    def parse(body: bytes) -> tuple[Event, ...]:
        assert may_answer.wait(30)
        return ()

    monkeypatch.setitem(EVENT_PATHS, "/events/s3", ("s3", parse))
    connections = receiver.server.server_state.connections
    with connect(receiver.port) as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        while not any(isinstance(taken, BoundedConnection) and taken._sender_ended for taken in connections):
            time.sleep(0.01)
        may_answer.set()
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")
        answered_s = time.monotonic()
        while connections:
            assert time.monotonic() - answered_s < Limits().request_s / 2
            time.sleep(0.01)


def test_a_chunked_body_is_refused_once_however_malformed(receiver: RunningReceiver, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert raw(receiver, HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n").count(b"HTTP/1.1 411 ") == 1
    assert [record.message for record in caplog.records] == ["request refused"]


@pytest.mark.parametrize("hidden", [b"Transfer-Encoding : chunked\r\n", b"a line\r\nTransfer-Encoding: chunked\r\n"])
def test_a_line_that_hides_others_is_refused(receiver: RunningReceiver, hidden: bytes) -> None:
    body = new_event()
    sent = HEAD + b"Content-Length: %d\r\n" % len(body) + hidden + b"\r\n" + body
    begun = receiver.checks.begun
    assert raw(receiver, sent).startswith(b"HTTP/1.1 400 ")
    assert receiver.checks.begun == begun


def test_a_second_request_on_a_connection_is_not_read(receiver: RunningReceiver) -> None:
    body = payload("alertmanager_resolved")
    one = HEAD.replace(b"s3", b"alertmanager") + b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    before = requests_counted(receiver, "ignored", "alertmanager")
    assert raw(receiver, one + one).count(b"HTTP/1.1 ") == 1
    assert requests_counted(receiver, "ignored", "alertmanager") == before + 1


SLOW = {
    "nothing": (b"", "unknown"),
    "part of a header": (HEAD, "unknown"),
    "part of a body": (HEAD + b"Content-Length: 100000\r\n\r\n{", "s3"),
}


@pytest.mark.parametrize(("sent", "source"), SLOW.values(), ids=SLOW)
def test_whoever_is_too_slow_is_told_logged_and_counted(tmp_path: Path, sent: bytes, source: str, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(header_s=0.2, request_s=0.4)
    with caplog.at_level(logging.WARNING), running_receiver(tmp_path, limits=limits) as receiver:
        answer = raw(receiver, sent)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "the request took too long"}
        assert requests_counted(receiver, "timed_out", source) == 1
    (record,) = [record for record in caplog.records if record.message == "request refused"]
    assert (vars(record)["outcome"], vars(record)["source"], vars(record)["status"]) == ("timed_out", source, 408)


def test_slow_senders_hold_a_place_until_the_deadline_and_no_longer(tmp_path: Path) -> None:
    with running_receiver(tmp_path, limits=Limits(header_s=0.5, request_s=1.0)) as receiver, ThreadPoolExecutor(3) as pool:

        def drip(start: bytes) -> float:
            """Send a byte every 50 ms; gives how long the receiver puts up with it."""
            begun_s = time.monotonic()
            with socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as connection:
                connection.sendall(start)
                connection.settimeout(0.05)
                while time.monotonic() - begun_s < 20:
                    try:
                        connection.sendall(b"x")
                        if not connection.recv(65536):
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
            return time.monotonic() - begun_s

        starts = [b"", HEAD, HEAD + b"Content-Length: 100000\r\n\r\n"]
        for lasted_s in pool.map(drip, starts):
            assert 0.4 <= lasted_s <= 10
        assert request(receiver.status_port, "GET", "/healthz").status == 200


def test_bodies_are_parsed_one_at_a_time(receiver: RunningReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of 1 MiB becomes 30 MiB of objects, and 64 at once 2 GiB: more than the pod has."""
    meeting = threading.Barrier(2)

    def parse(body: bytes) -> tuple[Event, ...]:
        with pytest.raises(threading.BrokenBarrierError):
            meeting.wait(0.3)
        return ()

    monkeypatch.setitem(EVENT_PATHS, "/events/s3", ("s3", parse))
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda _: post(receiver.port, "/events/s3", b"{}").status, range(2))
    assert list(answers) == [200, 200]
