"""One event: who may say what, and how much of it.

POST /events/s3               an S3 event          202 a check is marked; 200 told before, or of no interest
POST /events/alertmanager     Alertmanager's       likewise
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from edgepress.errors import InputError
from edgepress.telemetry import RequestOutcome, SourceValue
from edgepress_pipelines.trigger.receiver.bounded_request import BoundedRequestHandler, Limits
from edgepress_pipelines.trigger.receiver.events import Event, MalformedError, parse_alertmanager, parse_s3
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.places import Places
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Worker

MAX_BODY_BYTES = 1 << 20
"""An S3 event of 1,000 records has about 800 kB."""
OUTCOME_OF_STATUS: Final[dict[HTTPStatus, RequestOutcome]] = {
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
        parsing: held while a body is parsed: a small body can become thirty times its size, and all at once would be more than a pod has.
    """

    worker: Worker
    tokens: TokenFile
    metrics: ReceiverMetrics
    watched: Callable[[], tuple[str, ...]]
    limits: Limits = field(default_factory=Limits)
    parsing: threading.Lock = field(default_factory=threading.Lock)


class EventHandler(BoundedRequestHandler):
    """Answers one event."""

    def __init__(self, services: Services, places: Places, *arguments: Any) -> None:
        self._services = services
        self._source: SourceValue = "unknown"
        super().__init__(services.limits, places, *arguments)

    def answer(self, path: str) -> None:
        if path not in EVENT_PATHS:
            self.refuse(HTTPStatus.NOT_FOUND, f"there is no such path; events go to {' and '.join(EVENT_PATHS)}")
            return
        self._source, parse = EVENT_PATHS[path]
        if self.command != "POST":
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this path takes POST", {"Allow": "POST"})
            return
        try:
            welcome = self._services.tokens.accepts(self.headers.get("Authorization"))
        except InputError as error:
            logger.error("%s", error)  # noqa: TRY400 - its one line says it all
            self.send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the receiver has no token to compare with"})
            return
        if not welcome:
            self.refuse(HTTPStatus.UNAUTHORIZED, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})
            return
        self._places.hold(self.connection)
        retry_after_s = self._services.worker.throttle()
        if retry_after_s > 0.0:
            self.refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many events", {"Retry-After": str(max(1, math.ceil(retry_after_s)))})
            return
        body = self._read_body()
        if body is not None:
            self._take_in(body, parse)

    def refuse(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> None:
        outcome = OUTCOME_OF_STATUS.get(status, "malformed")
        self._services.metrics.count_request(self._source, outcome)
        what = {"source": self._source, "outcome": outcome, "status": int(status), "reason": reason}
        logger.warning("request refused", extra={"client": self.client_address[0], **what})
        super().refuse(status, reason, headers)

    def _take_in(self, body: bytes, parse: Parse) -> None:
        services = self._services
        try:
            with services.parsing:
                events = parse(body)
        except MalformedError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        answer = services.worker.receive(events, services.watched())
        services.metrics.count_request(self._source, answer)
        logger.info("event", extra={"source": self._source, "outcome": answer, "events": len(events)})
        self.send_json(HTTPStatus.ACCEPTED if answer == "accepted" else HTTPStatus.OK, {"outcome": answer})

    def _read_body(self) -> bytes | None:
        """The body; None when it was refused, which has then been said."""
        stated = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") is not None or len(stated) != 1 or not (stated[0].isascii() and stated[0].isdecimal()):
            self.refuse(HTTPStatus.LENGTH_REQUIRED, "one Content-Length is needed, and no Transfer-Encoding")
            return None
        length = int(stated[0]) if len(stated[0]) < 20 else MAX_BODY_BYTES + 1
        if length > MAX_BODY_BYTES:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
            return None
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        body = self.rfile.read(length)
        if len(body) < length:
            self.refuse(HTTPStatus.BAD_REQUEST, "the body ends before its Content-Length")
            return None
        return body
