"""One request on one connection, bounded before anyone is trusted: so many bytes of header, so many seconds, no more than one request.

uvicorn reads and writes HTTP. It has no deadline for a header, counts the bytes of one that is not whole alone, closes no idle connection
for a newcomer, and on an answered sender that still sends it closes with a reset; what stands here adds that. How long a body may take is
the application's to say, until ``request_until_s``.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

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
        request_s: until its body is whole, and the answer read, likewise.
    """

    header_bytes: int = 32 << 10
    header_s: float = 5.0
    request_s: float = 10.0


@dataclass(frozen=True)
class Guard:
    """What the connections of one server share.

    Attributes:
        places: of all of them.
        limits: of each.
        refused: is told the client's address, status and reason of each request that is refused before it reaches the application.
        crowded_out: is told of each connection that was closed for want of a place.
    """

    places: "Places[BoundedConnection]"
    limits: Limits = field(default_factory=Limits)
    refused: Callable[[str, HTTPStatus, str], None] = lambda *_: None
    crowded_out: Callable[[], None] = lambda: None


class BoundedConnection(H11Protocol):
    """Answers one request. The application finds it as ``request.state.connection``."""

    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # uvicorn leaves out that it is None until the header is whole

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self._guard = guard
        self._limits = guard.limits
        self._header_bytes_left = self._limits.header_bytes
        self._drained_bytes_left = MAX_DRAINED_BYTES
        self._sender_ended = False
        self._ended = False

    def hold(self) -> None:
        """The sender has been recognised: its connection is closed for nobody until it has been answered."""
        self._guard.places.hold(self)

    def make_room(self) -> None:
        """Close at once, without an answer."""
        self._ended = True
        self._accepted.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._accepted = transport
        super().connection_made(cast(asyncio.Transport, _LingeringTransport(transport, self._linger)))
        self.request_until_s = self.loop.time() + self._limits.request_s
        self._deadline = self.loop.call_later(self._limits.header_s, self._refuse, HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
        closed = self._guard.places.take(self)
        if closed is not None:
            self._guard.crowded_out()
            closed.make_room()

    def data_received(self, data: bytes) -> None:
        if self.cycle is None and not self.transport.is_closing():
            data = self._read_header(data)
        if self.transport.is_closing():
            self._drain(data)
        elif data:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open: a sender that has said all may close its side before it is answered."""
        self._sender_ended = True
        return self.cycle is not None and not self.cycle.more_body and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        said_something = self._header_bytes_left < self._limits.header_bytes
        if self.cycle is None and said_something and not self._ended:
            logger.info("a connection broke before its request was answered")
        self._deadline.cancel()
        self._guard.places.leave(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends. This connection does by itself, within its deadline; uvicorn would close it on a header that is half there."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What cannot be read. uvicorn's own words are the same for all of it."""
        if self.cycle is None:  # with one it is a chunked body, which the application refuses whatever it holds
            self._refuse(HTTPStatus.BAD_REQUEST, "the request cannot be read as HTTP")

    def _read_header(self, data: bytes) -> bytes:
        """Hand on no more than a header may have; gives the rest."""
        header, rest = data[: self._header_bytes_left], data[self._header_bytes_left :]
        self._header_bytes_left -= len(header)
        super().data_received(header)
        if self.cycle is not None:
            self._deadline.cancel()
        elif self._header_bytes_left == 0 and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a header has at most {self._limits.header_bytes} bytes")
        return rest

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer without the application, which needs a whole header."""
        self._guard.refused(self.client[0] if self.client else "", status, reason)
        body = json.dumps({"error": reason}).encode()
        header = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self.transport.write("\r\n".join((*header, "", "")).encode() + body)
        self.transport.close()

    def _linger(self) -> None:
        """The request has been answered. Read what its sender is still sending: closing on it would reset the connection before the
        answer is read."""
        self._ended = True
        self._guard.places.spare(self)
        self._deadline.cancel()
        if self._sender_ended:
            self._accepted.close()
            return
        until_s = max(self.request_until_s, self.loop.time() + LINGER_S)
        self._deadline = self.loop.call_at(until_s, self._accepted.abort)
        with suppress(OSError):  # the sender has just gone
            self._accepted.write_eof()
        self._accepted.resume_reading()

    def _drain(self, data: bytes) -> None:
        self._drained_bytes_left -= len(data)
        if self._drained_bytes_left <= 0:
            self._accepted.abort()


class _LingeringTransport:
    """A transport whose ``close`` is only the server's end of what it says. ``abort`` and whatever else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self._transport = transport
        self._linger = linger
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if not self.is_closing():
            self._closing = True
            self._linger()
