"""An HTTP proxy before an S3 server that breaks a chosen upload, in a chosen way."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["not sent", "cut", "answer lost", "answer cut", "none"]


@dataclass
class Plan:
    """What breaks.

    Attributes:
        fault: ``not sent``: the server never hears of the upload; ``cut``: it gets half of the body; ``answer lost``: it gets all of it,
            but the client never hears back; ``answer cut``: the client gets half of the answer's body.
        at_put: which upload breaks, counted from 1.
        dead_afterwards: whether every later request is dropped as well.
        before: called when that upload has arrived here, before the fault.
        puts: uploads seen so far.
    """

    fault: Fault = "none"
    at_put: int = 0
    dead_afterwards: bool = False
    before: Callable[[], None] = lambda: None
    puts: int = 0
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_of(self, method: str) -> Fault:
        """The fault of the request that arrives now."""
        with self.lock:
            if self.dead:
                return "not sent"
            self.puts += method == "PUT"
            if method != "PUT" or self.puts != self.at_put:
                return "none"
            self.dead = self.dead_afterwards
        self.before()
        return self.fault


class S3Proxy(ThreadingHTTPServer):
    """Listens on loopback; ``plan`` may be replaced between requests."""

    daemon_threads = True

    def __init__(self, upstream_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream_url.removeprefix("http://")
        self.plan = Plan()

    @property
    def endpoint_url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_proxy(upstream_url: str) -> Iterator[S3Proxy]:
    """A proxy that serves within the context."""
    with S3Proxy(upstream_url) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Proxy

    def _relay(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.plan.fault_of(self.command)
        if fault == "not sent":
            return
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # Host too, as it was signed
                if name not in ("Expect", "Connection"):
                    upstream.putheader(name, value)
            upstream.endheaders(body[: len(body) // 2] if fault == "cut" else body)
            if fault == "cut":
                assert isinstance(upstream.sock, socket.socket)
                upstream.sock.shutdown(socket.SHUT_RDWR)
                return
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return  # the server is gone: the client sees a closed connection
        finally:
            upstream.close()
        if fault == "answer lost":
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "answer cut" else content)

    def do_GET(self) -> None:
        self._relay()

    def do_PUT(self) -> None:
        self._relay()

    def do_DELETE(self) -> None:
        self._relay()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass
