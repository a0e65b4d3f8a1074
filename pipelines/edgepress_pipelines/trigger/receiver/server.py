"""The listening socket and the thread that serves it: a library's server, with so many connections at once and no more."""

import asyncio
import functools
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast

import uvicorn
from starlette.applications import Starlette

from edgepress.errors import InputError
from edgepress_pipelines.trigger.receiver.connection import BoundedConnection, Guard, Limits
from edgepress_pipelines.trigger.receiver.places import Places

MAX_CONNECTIONS = 256
MAX_STATUS_CONNECTIONS = 64
WAITING_CONNECTIONS = 1024
"""With the kernel, for their turn. Whoever finds no place there tries again after a second."""
RECEIVE_BYTES = 32 << 10
"""Of one connection with the kernel, which doubles it. No more comes at a time, so it bounds what a connection holds here as well."""
ACCEPTED_AT_ONCE = 8
"""In one turn of the loop. A connection that has a place, and whose header is there, needs three more turns until its sender is recognised,
too few for a flood to make it the oldest. The turns in which all places are taken anew are the time that a header has to arrive."""
WARN_EVERY_S = 10.0
TURN_LIMIT_S = 30.0
"""Between two turns of a server that works, which takes a tenth of a second when nobody comes."""

logger = logging.getLogger(__name__)


class BoundedServer(uvicorn.Server):
    """Serves an application in a thread of its own.

    Args:
        option: of the command line that names the address, for messages.
        address: host and port to listen on; port 0 takes any free one.
        app: answers requests.
        limit: of connections at once.
        limits: of a request.
        refused: is told the client's address, status and reason of each request that is refused before it reaches the application.
        crowded_out: is told of each connection that was closed for want of a place.

    Raises:
        InputError: the address cannot be listened on.
    """

    def __init__(
        self,
        option: str,
        address: tuple[str, int],
        app: Starlette,
        *,
        limit: int,
        limits: Limits,
        refused: Callable[[str, HTTPStatus, str], None] = lambda *_: None,
        crowded_out: Callable[[], None] = lambda: None,
    ) -> None:
        self._limit = limit
        self._count_crowded_out = crowded_out
        self._next_warning_s = self._last_turn_s = time.monotonic()
        self._left_behind: list[BoundedConnection] = []
        self._socket = _listen(option, *address)
        self.port = int(self._socket.getsockname()[1])
        guard = Guard(Places(limit), limits, refused, self._crowded_out)
        config = uvicorn.Config(
            app,
            http=cast(type[asyncio.Protocol], functools.partial(BoundedConnection, guard)),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,  # of uvicorn's own lines; events and refusals are logged where they are decided
            access_log=False,  # a request line may hold a secret
            proxy_headers=False,
            server_header=False,
            headers=[("Connection", "close")],
            backlog=ACCEPTED_AT_ONCE,
            h11_max_incomplete_event_size=limits.header_bytes,
        )
        super().__init__(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def is_listening(self) -> bool:
        """Whether connections are taken in."""
        return time.monotonic() - self._last_turn_s < TURN_LIMIT_S

    def start(self, thread_name: str) -> None:
        """Take connections in, in a thread of its own."""
        self._last_turn_s = time.monotonic()
        self._thread = threading.Thread(target=self.run, args=([self._socket],), name=thread_name, daemon=True)
        self._thread.start()

    def stop(self, grace_s: float) -> bool:
        """Take in no further connection, and wait until those there are have been answered; gives whether they were in time."""
        self.config.timeout_graceful_shutdown = math.ceil(grace_s)
        self.should_exit = True
        self._thread.join()
        return not self._left_behind

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # ``backlog`` means both to asyncio: how many wait with the kernel, and how many are accepted at once.
        self._socket.listen(WAITING_CONNECTIONS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._left_behind = [connection for connection in self.server_state.connections if isinstance(connection, BoundedConnection)]
        for connection in self._left_behind:
            connection.make_room()

    async def on_tick(self, counter: int) -> bool:
        self._last_turn_s = time.monotonic()
        return await super().on_tick(counter)

    def _crowded_out(self) -> None:
        self._count_crowded_out()
        now_s = time.monotonic()
        if now_s >= self._next_warning_s:  # a line for each would let whoever opens them fill the log
            self._next_warning_s = now_s + WARN_EVERY_S
            logger.warning("too many connections at once: the oldest without a token is closed", extra={"limit": self._limit})


def _listen(option: str, host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)  # each accepted connection's too
        listening.bind((host, port))
        listening.listen(WAITING_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        listening.close()
        raise InputError(f"{option} {host}:{port}: cannot be listened on ({getattr(error, 'strerror', None) or error})") from error
    return listening
