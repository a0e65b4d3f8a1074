"""The listening socket: a thread for each connection, and not more of them than a number."""

import functools
import logging
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import Any

from edgepress.errors import InputError
from edgepress_pipelines.kubeflow.receiver.handler import EventHandler, Services

MAX_CONNECTIONS = 64

logger = logging.getLogger(__name__)


class ReceiverServer(ThreadingHTTPServer):
    """A thread for each connection, at most ``MAX_CONNECTIONS``; one more is closed at once.

    Raises:
        InputError: the address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False  # a request under way is bounded by its deadline, and 202 was not yet said
    request_queue_size = 128

    def __init__(self, host: str, port: int, services: Services) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), functools.partial(EventHandler, services))
        except (OSError, OverflowError) as error:
            raise InputError(f"--listen {host}:{port}: cannot be listened on ({getattr(error, 'strerror', None) or error})") from error

    def server_bind(self) -> None:
        # HTTPServer would look up the host's name, which takes seconds without DNS.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            logger.warning("too many connections at once: one is closed", extra={"limit": MAX_CONNECTIONS})
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            logger.info("a connection broke before its request was answered")
        else:
            logger.error("a request could not be answered", exc_info=error)
