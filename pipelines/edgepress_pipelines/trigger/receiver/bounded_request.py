"""One request on one connection, bounded before anyone is trusted: so many bytes of header, so many seconds, no more than one request.

The image holds no HTTP server, and of the small ones in common use uvicorn and waitress have no deadline for a header as a whole and none
closes an idle connection for a newcomer; so it is the standard library's, with these bounds and those of ``server`` added.
"""

import io
import json
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from edgepress_pipelines.trigger.receiver.places import Places

MAX_DRAINED_BYTES = 1 << 20
LINGER_S = 1.0
"""At least, for what a sender was sending when its time was up."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Of one request.

    Attributes:
        header_bytes: of its first line and its header together.
        header_s: until its header is whole, from the moment that the connection has a place.
        request_s: until its body is whole, likewise; and again for sending the answer.
    """

    header_bytes: int = 32 << 10
    header_s: float = 5.0
    request_s: float = 10.0


class TooSlowError(Exception):
    """A request was not whole in time. No TimeoutError, which the standard library would swallow without an answer."""


class HeaderTooLargeError(Exception):
    """A header has more bytes than it may have."""


class _BoundedReader(io.RawIOBase):
    """Reads from a socket until a moment, however the bytes are spread over the time before; of a header no more bytes than a number."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        now_s = time.monotonic()
        self._connection = connection
        self._header_bytes_left: int | None = limits.header_bytes
        self._header_bytes = limits.header_bytes
        self._until_s = now_s + limits.header_s
        self._request_until_s = now_s + limits.request_s

    def readable(self) -> bool:
        return True

    def end_header(self) -> None:
        """The header is whole. Whoever reads the body knows its length."""
        self._header_bytes_left = None
        self._until_s = self._request_until_s

    def end_request(self) -> None:
        """The request has been answered: what still comes is read for its sender's sake."""
        self._header_bytes_left = None
        self._until_s = max(self._request_until_s, time.monotonic() + LINGER_S)

    def readinto(self, buffer: Any) -> int:
        remaining_s = self._until_s - time.monotonic()
        if remaining_s <= 0:
            raise TooSlowError
        self._connection.settimeout(remaining_s)
        try:
            if self._header_bytes_left is None:
                return self._connection.recv_into(buffer)
            return self._read_header(self._header_bytes_left, buffer)
        except TimeoutError as error:
            raise TooSlowError from error

    def _read_header(self, left: int, buffer: Any) -> int:
        if left <= 0:
            raise HeaderTooLargeError
        count = self._connection.recv_into(memoryview(buffer)[:left])
        if count == 0 and left < self._header_bytes:
            # The standard library would take what there is for the whole.
            raise ConnectionAbortedError("the sender closed before the end of its header")
        self._header_bytes_left = left - count
        return count


class BoundedRequestHandler(BaseHTTPRequestHandler):
    """Answers one request. Subclasses say what, in ``answer`` and in ``refuse``."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # whatever cannot be read is answered with a status line, which HTTP/0.9 has not
    server_version = "edgepress"
    sys_version = ""

    def __init__(self, limits: Limits, places: Places, *arguments: Any) -> None:
        self._limits = limits
        self._places = places
        super().__init__(*arguments)

    def answer(self, path: str) -> None:
        """Answer the request, whose header has been read; ``path`` is without its query."""
        raise NotImplementedError

    def refuse(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer with an error."""
        self.send_json(status, {"error": reason}, headers)

    def setup(self) -> None:
        super().setup()
        self._reader = _BoundedReader(self.connection, self._limits)
        self.rfile = io.BufferedReader(self._reader)
        # What an answer needs, should nothing of the request arrive.
        self.command, self.path, self.requestline, self.request_version = "", "", "", self.default_request_version

    def handle(self) -> None:
        self.close_connection = True
        try:
            self.handle_one_request()
        except TooSlowError:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
        except HeaderTooLargeError:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a header has at most {self._limits.header_bytes} bytes")

    def handle_expect_100(self) -> bool:
        return True  # the body is read when it has been decided that it is wanted

    def _answer_any(self) -> None:
        self._reader.end_header()
        if self.headers.defects:
            # A line that is no field would hide those after it from us, though not from a proxy before us.
            self.refuse(HTTPStatus.BAD_REQUEST, "the header has a line that is no field")
            return
        self.answer(self.path.partition("?")[0])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer_any  # noqa: N815 - the standard library's names

    def send_json(self, status: HTTPStatus, data: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        self.send(status, json.dumps(data).encode() + b"\n", "application/json", headers)

    def send(self, status: HTTPStatus, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer, and say that the connection ends with it."""
        self.connection.settimeout(self._limits.request_s)
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
        self._places.spare(self.connection)
        self._reader.end_request()
        with suppress(OSError, TooSlowError):  # it has gone, or takes longer than its deadline
            self.connection.shutdown(socket.SHUT_WR)
            left = MAX_DRAINED_BYTES
            while left > 0 and (read := len(self.rfile.read1(65536))):
                left -= read

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the standard library refuses by itself, e.g. a request line that is none. Its own page would repeat what was sent."""
        self.command = self.command or ""
        self.refuse(HTTPStatus(code), HTTPStatus(code).phrase.lower())

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Events and refusals are logged where they are decided; a request line may hold a secret."""
