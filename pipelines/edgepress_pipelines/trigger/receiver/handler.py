"""One event: who may say what, and how much of it.

POST /events/s3               an S3 event          202 a check is marked; 200 told before, or of no interest
POST /events/alertmanager     Alertmanager's       likewise
"""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from edgepress.errors import InputError
from edgepress.telemetry import RequestOutcome, SourceValue
from edgepress_pipelines.trigger.receiver.application import build_application
from edgepress_pipelines.trigger.receiver.connection import Limits
from edgepress_pipelines.trigger.receiver.events import Event, MalformedError, parse_alertmanager, parse_s3
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Worker

MAX_BODY_BYTES = 1 << 20
"""An S3 event of 1,000 records has about 800 kB."""
SMALL_BODY_BYTES = 32 << 10
MAX_LARGE_BODIES = 4
"""In memory at once. Others wait with what came first, until their time is up; whoever drips never sends enough to keep one of them out."""
OUTCOME_OF_STATUS: Final[dict[int, RequestOutcome]] = {
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
    HTTPStatus.REQUEST_TIMEOUT: "timed_out",
}
"""Of refusals; all others are malformed."""

logger = logging.getLogger(__name__)

Parse = Callable[[bytes], tuple[Event, ...]]
EVENT_PATHS: Final[dict[str, tuple[SourceValue, Parse]]] = {
    "/events/s3": ("s3", parse_s3),
    "/events/alertmanager": ("alertmanager", parse_alertmanager),
}


@dataclass(frozen=True)
class Services:
    """What events are answered from.

    Attributes:
        worker: takes events in.
        tokens: who may send them.
        metrics: counts them.
        watched: gives the sources at ``s3://`` that changes of objects must concern.
        limits: of a request.
        large_bodies: held by each body that has become large, until it is parsed.
        parsing: held while a body is parsed: a small body can become thirty times its size, and all at once would be more than a pod has.
    """

    worker: Worker
    tokens: TokenFile
    metrics: ReceiverMetrics
    watched: Callable[[], tuple[str, ...]]
    limits: Limits = field(default_factory=Limits)
    large_bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LARGE_BODIES))
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note_refusal(self, client: str, status: int, reason: str, source: SourceValue = "unknown") -> None:
        """Count and log a request that was refused."""
        outcome = OUTCOME_OF_STATUS.get(status, "malformed")
        self.metrics.count_request(source, outcome)
        what = {"source": source, "outcome": outcome, "status": int(status), "reason": reason}
        logger.warning("request refused", extra={"client": client, **what})


def events_application(services: Services) -> Starlette:
    """Answers events."""

    async def answer(request: Request) -> Response:
        return await _answer(services, request)

    def refused(request: Request, status: int, reason: str) -> None:
        path = request.scope["path"]
        source: SourceValue = EVENT_PATHS[path][0] if path in EVENT_PATHS else "unknown"
        services.note_refusal(request.client.host if request.client else "", status, reason, source)

    return build_application("POST", dict.fromkeys(EVENT_PATHS, answer), refused)


async def _answer(services: Services, request: Request) -> Response:
    source, parse = EVENT_PATHS[request.scope["path"]]
    try:
        welcome = services.tokens.accepts(request.headers.get("Authorization"))
    except InputError as error:
        logger.error("%s", error)  # noqa: TRY400 - its one line says it all
        return JSONResponse({"error": "the receiver has no token to compare with"}, HTTPStatus.SERVICE_UNAVAILABLE)
    if not welcome:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})
    request.state.connection.hold()
    retry_after_s = services.worker.throttle()
    if retry_after_s > 0.0:
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, "too many events", {"Retry-After": str(max(1, math.ceil(retry_after_s)))})
    events = await _read_events(services, request, parse)
    outcome = services.worker.receive(events, services.watched())
    services.metrics.count_request(source, outcome)
    logger.info("event", extra={"source": source, "outcome": outcome, "events": len(events)})
    return JSONResponse({"outcome": outcome}, HTTPStatus.ACCEPTED if outcome == "accepted" else HTTPStatus.OK)


async def _read_events(services: Services, request: Request, parse: Parse) -> tuple[Event, ...]:
    """What the body tells, whose length its sender must have stated. A length that is no number has been refused with the header."""
    stated = request.headers.get("Content-Length")
    if stated is None or "Transfer-Encoding" in request.headers:
        raise HTTPException(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed, and no Transfer-Encoding")
    if len(stated) > len(str(MAX_BODY_BYTES)) or int(stated) > MAX_BODY_BYTES:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
    try:
        async with AsyncExitStack() as held:
            async with asyncio.timeout_at(request.state.connection.request_until_s):
                body = bytearray()
                async for chunk in request.stream():
                    if len(body) <= SMALL_BODY_BYTES < len(body) + len(chunk):
                        await held.enter_async_context(services.large_bodies)
                    body += chunk
            async with services.parsing:
                return await asyncio.to_thread(parse, bytes(body))
    except TimeoutError as error:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "the request took too long") from error
    except ClientDisconnect as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ends before its Content-Length") from error
    except MalformedError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
