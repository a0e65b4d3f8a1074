"""The listening socket: a thread for each connection, and not more of them than a number."""

import functools
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edgepress.errors import InputError
from edgepress_pipelines.trigger.receiver.places import Places

MAX_CONNECTIONS = 64
MAX_STATUS_CONNECTIONS = 16
WARN_EVERY_S = 10.0
TURN_LIMIT_S = 30.0
"""Between two turns of a server that works, which takes half a second at most when nobody comes."""

Answer = Callable[..., BaseHTTPRequestHandler]
"""Answers one connection: takes the places, and then what the standard library gives a handler."""

logger = logging.getLogger(__name__)


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, and so many at once.

    Args:
        option: of the command line that names the address, for messages.
        address: host and port to listen on; port 0 takes any free one.
        answer: of a connection.
        limit: of connections at once.
        crowded_out: is told of each connection that was closed for want of a place.

    Raises:
        InputError: the address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False  # ``stop`` waits, and not for ever
    request_queue_size = 128

    def __init__(
        self, option: str, address: tuple[str, int], answer: Answer, *, limit: int, crowded_out: Callable[[], None] = lambda: None
    ) -> None:
        host, port = address
        self._count_crowded_out = crowded_out
        self._next_warning_s = self._last_turn_s = time.monotonic()
        self._places = Places(limit, self._crowded_out)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__(address, functools.partial(answer, self._places))
        except (OSError, OverflowError) as error:
            raise InputError(f"{option} {host}:{port}: cannot be listened on ({getattr(error, 'strerror', None) or error})") from error

    def is_listening(self) -> bool:
        """Whether connections are taken in."""
        return time.monotonic() - self._last_turn_s < TURN_LIMIT_S

    def start(self, thread_name: str, *, poll_s: float = 0.5) -> None:
        """Take connections in, in a thread of its own, which notices within ``poll_s`` that it is to stop."""
        self._last_turn_s = time.monotonic()
        threading.Thread(target=self.serve_forever, args=(poll_s,), name=thread_name, daemon=True).start()

    def stop(self, grace_s: float) -> bool:
        """Take in no further connection, and wait until those there are have been answered; gives whether they were in time."""
        self.shutdown()
        self.server_close()
        return self._places.wait_until_empty(grace_s)

    def server_bind(self) -> None:
        # HTTPServer would look up the host's name, which takes seconds without DNS.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def service_actions(self) -> None:
        self._last_turn_s = time.monotonic()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.take(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            logger.info("a connection broke before its request was answered")
        else:
            logger.error("a request could not be answered", exc_info=error)

    def _crowded_out(self) -> None:
        self._count_crowded_out()
        now_s = time.monotonic()
        if now_s >= self._next_warning_s:  # a line for each would let whoever opens them fill the log
            self._next_warning_s = now_s + WARN_EVERY_S
            logger.warning("too many connections at once: the oldest without a token is closed", extra={"limit": self._places.limit})
