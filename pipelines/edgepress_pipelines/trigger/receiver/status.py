"""How the receiver is, for the kubelet and Prometheus: on a port of its own, so that no sender can keep a probe out or read the metrics.

    GET /healthz      events lead to checks; if not, a restart mends it
    GET /readyz       besides, events are welcome and there is a token to compare with
    GET /metrics      for Prometheus

Nothing here needs a token, so only the network decides who asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgepress.errors import InputError
from edgepress_pipelines.trigger.receiver.application import build_application
from edgepress_pipelines.trigger.receiver.connection import Limits
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Worker


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


def status_application(services: StatusServices) -> Starlette:
    """Answers the kubelet and Prometheus."""

    async def health(request: Request) -> Response:  # noqa: ARG001
        return _answer(_unhealthy(services))

    async def readiness(request: Request) -> Response:  # noqa: ARG001
        return _answer(_unhealthy(services) or _unready(services))

    async def metrics(request: Request) -> Response:  # noqa: ARG001
        return Response(services.metrics.expose(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return build_application("GET", {"/healthz": health, "/readyz": readiness, "/metrics": metrics})


def _answer(defect: str | None) -> Response:
    if defect is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "not ok", "reason": defect}, HTTPStatus.SERVICE_UNAVAILABLE)


def _unhealthy(services: StatusServices) -> str | None:
    if services.worker.is_stopping():
        return None
    if not services.is_listening():
        return "no events are taken in"
    return services.worker.defect()


def _unready(services: StatusServices) -> str | None:
    if services.worker.is_stopping():
        return "stopping"
    try:
        services.tokens.read()
    except InputError as error:
        return str(error)
    return None
