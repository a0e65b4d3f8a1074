"""How the receiver is, for the kubelet and Prometheus: on a port of its own, so that no sender can keep a probe out or read the metrics.

    GET /healthz      events lead to checks; if not, a restart mends it
    GET /readyz       besides, events are welcome and there is a token to compare with
    GET /metrics      for Prometheus

Nothing here needs a token, so only the network decides who asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from edgepress.errors import InputError
from edgepress_pipelines.trigger.receiver.bounded_request import BoundedRequestHandler, Limits
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.places import Places
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Worker

PATHS = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True)
class StatusServices:
    """What is told of.

    Attributes:
        worker: whether it checks.
        tokens: whether they can be read.
        metrics: all of them.
        is_listening: whether events are taken in.
        limits: of a request.
    """

    worker: Worker
    tokens: TokenFile
    metrics: ReceiverMetrics
    is_listening: Callable[[], bool]
    limits: Limits = field(default_factory=Limits)


class StatusHandler(BoundedRequestHandler):
    """Answers one request."""

    def __init__(self, services: StatusServices, places: Places, *arguments: Any) -> None:
        self._services = services
        super().__init__(services.limits, places, *arguments)

    def answer(self, path: str) -> None:
        if path not in PATHS:
            self.refuse(HTTPStatus.NOT_FOUND, f"there is no such path; there are {', '.join(PATHS)}")
        elif self.command not in ("GET", "HEAD"):
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this path takes GET", {"Allow": "GET, HEAD"})
        elif path == "/metrics":
            self.send(HTTPStatus.OK, self._services.metrics.expose(), "text/plain; version=0.0.4; charset=utf-8")
        else:
            reason = self._unhealthy() or (self._unready() if path == "/readyz" else None)
            status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
            answer: Mapping[str, str] = {"status": "ok"} if reason is None else {"status": "not ok", "reason": reason}
            self.send_json(status, answer)

    def _unhealthy(self) -> str | None:
        worker = self._services.worker
        if worker.is_stopping():
            return None
        if not self._services.is_listening():
            return "no events are taken in"
        return worker.defect()

    def _unready(self) -> str | None:
        if self._services.worker.is_stopping():
            return "stopping"
        try:
            self._services.tokens.read()
        except InputError as error:
            return str(error)
        return None
