"""One request: who may say what, how much of it, and how slowly.

    POST /events/s3               an S3 event          202 a check is marked; 200 told before, or of no interest
    POST /events/alertmanager     Alertmanager's       likewise
    GET  /healthz, /readyz, /metrics                   need no token

Each connection carries one request and is bounded in time as a whole, so that a sender of one byte a second holds a thread for seconds
only.
"""

import io
import json
import logging
import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from edgepress.errors import InputError
from edgepress.telemetry import RequestOutcome, SourceValue
from edgepress_pipelines.kubeflow.receiver.events import Event, MalformedError, parse_alertmanager, parse_s3
from edgepress_pipelines.kubeflow.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.kubeflow.receiver.token_file import TokenFile
from edgepress_pipelines.kubeflow.receiver.worker import Worker

MAX_BODY_BYTES = 1 << 20
"""An S3 event of 1,000 records has about 800 kB."""
DEADLINE_S = 10.0
"""For the whole of a request, from its first byte to its last."""

logger = logging.getLogger(__name__)

Parse = Callable[[bytes], tuple[Event, ...]]
EVENT_PATHS: Final[dict[str, tuple[SourceValue, Parse]]] = {
    "/events/s3": ("s3", parse_s3),
    "/events/alertmanager": ("alertmanager", parse_alertmanager),
}
STATUS_PATHS = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True)
class Services:
    """What requests are answered from.

    Attributes:
        worker: takes events in.
        tokens: who may send them.
        metrics: counts them.
        watched: gives the sources at ``s3://`` that changes of objects must concern.
        deadline_s: for one request.
    """

    worker: Worker
    tokens: TokenFile
    metrics: ReceiverMetrics
    watched: Callable[[], tuple[str, ...]]
    deadline_s: float = DEADLINE_S


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a moment, however the bytes are spread over the time before."""

    def __init__(self, connection: socket.socket, until_s: float) -> None:
        self._connection = connection
        self._until_s = until_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining_s = self._until_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(remaining_s)
        return self._connection.recv_into(buffer)


class EventHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server_version = "edgepress"
    sys_version = ""

    def __init__(self, services: Services, *arguments: Any) -> None:
        self._services = services
        super().__init__(*arguments)

    def setup(self) -> None:
        super().setup()
        deadline_s = self._services.deadline_s
        self.rfile = io.BufferedReader(_DeadlineReader(self.connection, time.monotonic() + deadline_s))

    def handle_expect_100(self) -> bool:
        return True  # the body is read when it has been decided that it is wanted

    def _answer_any(self) -> None:
        path = self.path.partition("?")[0]
        if path in EVENT_PATHS:
            self._answer_event(*EVENT_PATHS[path])
        elif path in STATUS_PATHS:
            if self.command in ("GET", "HEAD"):
                self._answer_status(path)
            else:
                self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this path takes GET", allow="GET, HEAD")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no such path; events go to {' and '.join(EVENT_PATHS)}")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer_any  # noqa: N815 - the standard library's names

    def _answer_status(self, path: str) -> None:
        services = self._services
        if path == "/metrics":
            self._send(HTTPStatus.OK, services.metrics.expose(), "text/plain; version=0.0.4; charset=utf-8")
            return
        if path == "/readyz":
            try:
                services.tokens.read()
            except InputError as error:
                self._send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "reason": str(error)})
                return
        alive = services.worker.is_alive()
        self._send_json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, {"status": "ok" if alive else "stopping"})

    def _answer_event(self, source: SourceValue, parse: Parse) -> None:
        services = self._services
        if self.command != "POST":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this path takes POST", source=source, allow="POST")
            return
        try:
            welcome = services.tokens.accepts(self.headers.get("Authorization"))
        except InputError as error:
            logger.error("%s", error)  # noqa: TRY400 - its one line says it all
            self._send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the receiver has no token to compare with"})
            return
        if not welcome:
            self._refuse(HTTPStatus.UNAUTHORIZED, "a valid bearer token is needed", source=source, outcome="unauthorized")
            return
        retry_after_s = services.worker.throttle()
        if retry_after_s > 0.0:
            self._refuse(
                HTTPStatus.TOO_MANY_REQUESTS, "too many events", source=source, outcome="rate_limited", retry_after_s=retry_after_s
            )
            return
        body = self._read_body(source)
        if body is None:
            return
        try:
            events = parse(body)
        except MalformedError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), source=source)
            return
        answer = services.worker.receive(events, services.watched())
        services.metrics.count_request(source, answer)
        logger.info("event", extra={"source": source, "outcome": answer, "events": len(events)})
        self._send_json(HTTPStatus.ACCEPTED if answer == "accepted" else HTTPStatus.OK, {"outcome": answer})

    def _read_body(self, source: SourceValue) -> bytes | None:
        """The body; None when it was refused, which has then been said."""
        stated = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") is not None or len(stated) != 1 or not (stated[0].isascii() and stated[0].isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "one Content-Length is needed, and no Transfer-Encoding", source=source)
            return None
        length = int(stated[0]) if len(stated[0]) < 20 else MAX_BODY_BYTES + 1
        if length > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes", source=source)
            return None
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        body = self.rfile.read(length)
        if len(body) < length:
            self._refuse(HTTPStatus.BAD_REQUEST, "the body ends before its Content-Length", source=source)
            return None
        return body

    def _refuse(
        self,
        status: HTTPStatus,
        reason: str,
        *,
        source: SourceValue = "unknown",
        outcome: RequestOutcome = "malformed",
        allow: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self._services.metrics.count_request(source, outcome)
        logger.warning("request refused", extra={"source": source, "outcome": outcome, "status": int(status), "reason": reason})
        headers = {}
        if allow is not None:
            headers["Allow"] = allow
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        self._send_json(status, {"error": reason}, headers)

    def _send_json(self, status: HTTPStatus, data: dict[str, str], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(data).encode() + b"\n", "application/json", headers)

    def _send(self, status: HTTPStatus, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.connection.settimeout(self._services.deadline_s)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self._drain()

    def _drain(self) -> None:
        """Read what a refused sender is still sending: closing on it would reset the connection before the answer is read."""
        with suppress(OSError):  # it has gone, or takes longer than its deadline
            self.connection.shutdown(socket.SHUT_WR)
            left = MAX_BODY_BYTES
            while left > 0 and (read := len(self.rfile.read1(65536))):
                left -= read

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the standard library refuses by itself, e.g. a request line that is none. Its own page would repeat what was sent."""
        self.command = self.command or ""
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase.lower())

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Events and refusals are logged where they are decided; a request line may hold a secret."""
