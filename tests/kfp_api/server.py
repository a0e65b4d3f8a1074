"""A stateful stand-in for KFP's API server, over HTTP on loopback, behind the gateways that it usually hides behind."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kfp_api.faults import Fault, Faults
from tests.kfp_api.messages import ApiError
from tests.kfp_api.routes import Request, answer, uploaded_file
from tests.kfp_api.state import State

API = "/apis/v2beta1"
LOGIN_PAGE = b"<!doctype html><html><title>Log in</title><form action=/dex/auth></form></html>"


@dataclass
class Door:
    """Who is let in.

    Attributes:
        tokens: bearer token -> the namespaces that its holder may use; None asks for no token.
        cookie: what a gateway before the API wants as the header Cookie; it sends everybody else to its login page. None: no gateway.
    """

    tokens: dict[str, frozenset[str]] | None = None
    cookie: str | None = None


@dataclass
class KfpServer:
    """The server as a test holds it.

    Attributes:
        url: where it listens.
        tag_name: its version; None leaves it out.
        requests: ``METHOD /path`` of everything that arrived.
        interruptions: what is still to be done before a request, see ``before_next``.
    """

    url: str
    state: State
    tag_name: str | None = "2.17.0"
    door: Door = field(default_factory=Door)
    faults: Faults = field(default_factory=Faults)
    requests: list[str] = field(default_factory=list)
    interruptions: list[tuple[str, Callable[[], object]]] = field(default_factory=list)

    def count(self, method: str, path: str) -> int:
        """How many requests of a method arrived at a path."""
        return self.requests.count(f"{method} {API}{path}")

    def before_next(self, method: str, path: str, act: Callable[[], object]) -> None:
        """Do something when the next request of a kind has arrived and before it is looked at, as another client would."""
        self.interruptions.append((f"{method} {API}{path}", act))

    def only_run(self) -> dict[str, Any]:
        """The one run that there is."""
        (run,) = self.state.runs.values()
        return run


@contextmanager
def running_kfp(
    *, is_multi_user: bool = False, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[KfpServer]:
    """Serve for as long as the context lasts."""
    with ThreadingHTTPServer((address, port), _Handler) as http:
        http.daemon_threads = True
        http.block_on_close = False  # a client that keeps its connection does not hold up a test
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        kfp = KfpServer(url=f"{scheme}://{address}:{http.server_port}", state=State(is_multi_user=is_multi_user))
        http.kfp = kfp  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield kfp
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def kfp(self) -> KfpServer:
        kfp: KfpServer = self.server.kfp  # type: ignore[attr-defined]
        return kfp

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is http.server's
        """Say nothing."""

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = f"{method} {parts.path}"
        self.kfp.requests.append(name)
        for interruption in [item for item in self.kfp.interruptions if item[0] == name][:1]:
            self.kfp.interruptions.remove(interruption)
            interruption[1]()
        fault = self.kfp.faults.take(name)
        if fault is not None and self._befallen(fault):
            return
        if parts.path == "/dex/auth":
            self._send(200, LOGIN_PAGE, "text/html; charset=utf-8")
            return
        if self.kfp.door.cookie is not None and self.headers.get("Cookie") != self.kfp.door.cookie:
            self._send(302, b"", "text/html; charset=utf-8", {"Location": "/dex/auth"})
            return
        status, body = self._answer(method, parts.path, dict(parse_qsl(parts.query)), content)
        encoded = json.dumps(body).encode()
        if fault is not None and fault.kind in ("lose answer", "cut answer"):
            self._break_off(status, encoded if fault.kind == "cut answer" else b"")
            return
        self._send(status, encoded, "application/json")

    def _answer(self, method: str, path: str, query: dict[str, str], content: bytes) -> tuple[int, dict[str, Any]]:
        if path == f"{API}/healthz":
            return 200, self._health()
        is_upload = path.startswith(f"{API}/pipelines/upload")
        try:
            if not path.startswith(f"{API}/"):
                raise ApiError(404, "Not Found")
            namespaces = self._let_in()
            if is_upload:
                body: Any = uploaded_file(self.headers.get("Content-Type", ""), content)
            else:
                body = json.loads(content) if content else None
            return 200, answer(self.kfp.state, Request(method, path.removeprefix(API), query, body, namespaces))
        except ApiError as error:
            if is_upload and error.status != 401:
                return error.status, {"error_message": error.message, "error_details": error.message}
            return error.status, error.body()
        except json.JSONDecodeError as error:
            return 400, ApiError(400, f"proto: syntax error: {error}").body()

    def _health(self) -> dict[str, Any]:
        known = {} if self.kfp.tag_name is None else {"tag_name": self.kfp.tag_name}
        return {"commit_sha": "unknown", "multi_user": self.kfp.state.is_multi_user, "pipeline_store": "database"} | known

    def _let_in(self) -> frozenset[str] | None:
        tokens = self.kfp.door.tokens
        if tokens is None:
            return None
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in tokens:
            raise ApiError(401, "Failed to check authorization. User identity is empty in the request header")
        return tokens[token]

    def _befallen(self, fault: Fault) -> bool:
        """Whether a fault ends the request."""
        match fault.kind:
            case "refuse":
                headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
                body = json.dumps(ApiError(fault.status, "as the test wants it").body()).encode()
                self._send(fault.status, body, "application/json", headers)
            case "drop":
                self._hang_up()
            case "login page":
                self._send(200, LOGIN_PAGE, "text/html; charset=utf-8")
            case "slow":
                time.sleep(fault.delay_s)
                return False
            case _:
                return False
        return True

    def _break_off(self, status: int, body: bytes) -> None:
        if body:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        with suppress(OSError):  # the client did not wait
            self.wfile.write(body)
