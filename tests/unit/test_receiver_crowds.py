"""More senders than places, over real sockets: who makes room, who does not, and who is under way when the receiver ends."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgepress_pipelines.trigger.receiver.core import ReceiverState
from edgepress_pipelines.trigger.receiver.handler import MAX_LARGE_BODIES, SMALL_BODY_BYTES
from edgepress_pipelines.trigger.receiver.rate_limit import TokenBucket
from edgepress_pipelines.trigger.receiver.server import MAX_CONNECTIONS, MAX_STATUS_CONNECTIONS
from tests.unit.running_receiver import HEAD, PATIENT, TOKEN, connect, new_event, payload, post, request, requests_counted, running_receiver


def test_idle_connections_keep_out_neither_a_probe_nor_an_event(tmp_path: Path) -> None:
    with running_receiver(tmp_path, limits=PATIENT) as receiver, ExitStack() as idle:
        for _ in range(MAX_CONNECTIONS):
            idle.enter_context(connect(receiver.port))
        for _ in range(MAX_STATUS_CONNECTIONS):
            idle.enter_context(connect(receiver.status_port))
        for path in ("/healthz", "/readyz", "/metrics"):
            assert request(receiver.status_port, "GET", path, token=None).status == 200
        assert post(receiver.port, "/events/s3", payload("aws_object_created")).status == 202
        assert requests_counted(receiver, "crowded_out", "unknown") >= 1
        idle.close()


def test_the_oldest_stranger_makes_room_and_nobody_who_was_recognised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = payload("aws_object_created")
    with caplog.at_level(logging.WARNING), running_receiver(tmp_path, limits=PATIENT) as receiver, ExitStack() as opened:
        recognised = opened.enter_context(connect(receiver.port))
        recognised.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert recognised.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        strangers = [opened.enter_context(connect(receiver.port)) for _ in range(MAX_CONNECTIONS + 9)]
        assert [stranger.recv(1) for stranger in strangers[:10]] == [b""] * 10
        for stranger in strangers[10:]:
            stranger.sendall(HEAD.replace(TOKEN.encode(), b"wrong") + b"\r\n")
            assert stranger.recv(65536).startswith(b"HTTP/1.1 401 ")
        recognised.sendall(body)
        assert recognised.recv(65536).startswith(b"HTTP/1.1 202 ")
        assert requests_counted(receiver, "crowded_out", "unknown") == 10
        opened.close()
    assert caplog.text.count("too many connections at once") == 1, "who opens connections does not fill the log"


def test_whoever_was_answered_makes_room(tmp_path: Path) -> None:
    state = ReceiverState(bucket=TokenBucket(capacity=2 * MAX_CONNECTIONS))
    with running_receiver(tmp_path, limits=PATIENT, state=state) as receiver, ExitStack() as opened:
        for _ in range(MAX_CONNECTIONS):
            connection = opened.enter_context(connect(receiver.port))
            connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert post(receiver.port, "/events/s3", new_event()).status == 202
        opened.close()


def test_when_everyone_was_recognised_the_newcomer_goes(tmp_path: Path) -> None:
    state = ReceiverState(bucket=TokenBucket(capacity=MAX_CONNECTIONS))
    with running_receiver(tmp_path, limits=PATIENT, state=state) as receiver, ExitStack() as opened:
        for _ in range(MAX_CONNECTIONS):
            connection = opened.enter_context(connect(receiver.port))
            connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        with connect(receiver.port) as newcomer:
            assert newcomer.recv(1) == b""
        assert request(receiver.status_port, "GET", "/healthz", token=None).status == 200
        opened.close()


def test_only_so_many_large_bodies_are_held_at_once(tmp_path: Path) -> None:
    with running_receiver(tmp_path, limits=PATIENT) as receiver, ExitStack() as opened:
        head, body = HEAD + b"Content-Length: 100000\r\n\r\n", payload("aws_object_created").ljust(100_000)
        unfinished = [opened.enter_context(connect(receiver.port)) for _ in range(MAX_LARGE_BODIES)]
        for sender in unfinished:
            sender.sendall(head + body[: 2 * SMALL_BODY_BYTES])
        while not receiver.services.large_bodies.locked():
            time.sleep(0.01)
        waiting = opened.enter_context(connect(receiver.port))
        waiting.sendall(head + body)
        assert post(receiver.port, "/events/s3", new_event()).status == 202, "a small one does not wait"
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(65536)
        unfinished[0].close()
        waiting.settimeout(30)
        assert waiting.recv(65536).startswith(b"HTTP/1.1 202 ")
        opened.close()


def test_a_flood_behind_a_sender_does_not_crowd_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_receiver(tmp_path, limits=PATIENT) as receiver, ExitStack() as opened:
        held, let_go, throttle = threading.Event(), threading.Event(), receiver.worker.throttle

        def hold_the_loop() -> float:
            held.set()
            assert let_go.wait(30)
            return throttle()

        monkeypatch.setattr(receiver.worker, "throttle", hold_the_loop)
        opened.enter_context(connect(receiver.port)).sendall(HEAD + b"\r\n")
        assert held.wait(30)
        sender, body = opened.enter_context(connect(receiver.port)), new_event()
        sender.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        for _ in range(2 * MAX_CONNECTIONS):
            opened.enter_context(connect(receiver.port))
        let_go.set()
        assert sender.recv(65536).startswith(b"HTTP/1.1 202 ")
        opened.close()


def test_who_is_under_way_when_the_receiver_ends_is_answered(tmp_path: Path) -> None:
    with running_receiver(tmp_path) as receiver, connect(receiver.port) as connection, ThreadPoolExecutor(1) as stopping:
        connection.sendall(HEAD)
        assert post(receiver.port, "/events/s3", new_event()).status == 202, "so the one before it has been taken in"
        stopped = stopping.submit(receiver.server.stop, 30.0)
        while receiver.server.servers[0].is_serving():
            time.sleep(0.01)
        connection.sendall(b"Content-Length: 2\r\n\r\n{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        connection.close()
        assert stopped.result()


def test_who_is_too_slow_for_the_end_is_left_behind(tmp_path: Path) -> None:
    with running_receiver(tmp_path, limits=PATIENT) as receiver, connect(receiver.port) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not receiver.server.stop(1.0)
        assert connection.recv(65536) == b""
        receiver.server._left_behind.clear()
