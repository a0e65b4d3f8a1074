"""A real receiver on loopback in this process, whose checks are counted, and requests to it."""

import http.client
import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.telemetry import CheckOutcome
from edgepress_pipelines.trigger.receiver.connection import Limits
from edgepress_pipelines.trigger.receiver.core import ReceiverState
from edgepress_pipelines.trigger.receiver.handler import Services
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.pending import Delays
from edgepress_pipelines.trigger.receiver.serve import events_server, status_server
from edgepress_pipelines.trigger.receiver.server import BoundedServer
from edgepress_pipelines.trigger.receiver.status import StatusServices
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Worker

TOKEN = "0123456789abcdef0123456789abcdef"
PAYLOADS = Path(__file__).parent / "receiver_payloads"
WAIT_S = 30.0
HEAD = f"POST /events/s3 HTTP/1.1\r\nHost: receiver\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
"""The beginning of a header."""
PATIENT = Limits(header_s=60.0, request_s=60.0)
"""So that no deadline hides what else happens to an idle connection."""


_sequence = itertools.count(1)


def new_event() -> bytes:
    """An S3 event that nobody told before."""
    return re.sub(rb'"sequencer": "[^"]*"', b'"sequencer": "%016X"' % next(_sequence), payload("aws_object_created"))


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


@dataclass
class CountedChecks:
    """What a worker calls, and how often it did. Each call takes the next answer, or says that nothing changed."""

    answers: list[CheckOutcome | Exception] = field(default_factory=list)
    hold: threading.Event | None = None
    begun: int = 0
    done: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self) -> CheckOutcome:
        with self._changed:
            self.begun += 1
            answer = self.answers.pop(0) if self.answers else "unchanged"
            self._changed.notify_all()
        if self.hold is not None:
            assert self.hold.wait(WAIT_S)
        with self._changed:
            self.done += 1
            self._changed.notify_all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_for(self, *, begun: int = 0, done: int = 0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun >= begun and self.done >= done, WAIT_S), (self.begun, self.done)


@dataclass
class RunningReceiver:
    services: Services
    server: BoundedServer
    status: BoundedServer
    worker: Worker
    checks: CountedChecks
    metrics: ReceiverMetrics
    token_file: Path

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def status_port(self) -> int:
        return self.status.port


@contextmanager
def running_receiver(
    folder: Path,
    *,
    checks: CountedChecks | None = None,
    delays: Delays | None = None,
    state: ReceiverState | None = None,
    watched: tuple[str, ...] = (),
    limits: Limits | None = None,
    check_limit_s: float = 60.0,
) -> Iterator[RunningReceiver]:
    checks = checks or CountedChecks()
    token_file = folder / "token"
    token_file.write_text(f"{TOKEN}\n")
    metrics = ReceiverMetrics("digits")
    delays = delays or Delays(debounce_s=0.0, first_retry_s=0.0, longest_retry_s=0.0)
    worker = Worker(checks, metrics.count_check, delays, state, check_limit_s)
    tokens, limits = TokenFile(token_file), limits or Limits()
    here = ("127.0.0.1", 0)
    services = Services(worker, tokens, metrics, lambda: watched, limits)
    with (
        events_server(here, services) as server,
        status_server(here, StatusServices(worker, tokens, metrics, server.is_listening, limits)) as status,
    ):
        worker.start()
        server.start("events")
        status.start("status")
        try:
            yield RunningReceiver(services, server, status, worker, checks, metrics, token_file)
        finally:
            with ThreadPoolExecutor(1) as stopping:
                stopped = stopping.submit(status.stop, WAIT_S)
                assert server.stop(WAIT_S)
            assert stopped.result()
            assert worker.stop(WAIT_S)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    port: int, method: str, path: str, body: bytes | None = None, *, token: str | None = TOKEN, headers: dict[str, str] | None = None
) -> Answer:
    """One request, as a sender makes it."""
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def post(port: int, path: str, body: bytes, *, token: str | None = TOKEN) -> Answer:
    return request(port, "POST", path, body, token=token)


def counted(receiver: RunningReceiver) -> dict[str, float]:
    """The receiver's samples, as a scrape gives them."""
    text = request(receiver.status_port, "GET", "/metrics", token=None).body.decode()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}


def requests_counted(receiver: RunningReceiver, outcome: str, source: str) -> float:
    """How many requests of a source had this outcome."""
    return counted(receiver).get(f'edgepress_receiver_requests_total{{outcome="{outcome}",source="{source}"}}', 0.0)
