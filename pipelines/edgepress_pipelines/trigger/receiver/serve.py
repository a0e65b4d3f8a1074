"""The receiver as a process: it listens, checks, and ends when it is told to."""

import logging
import re
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgepress.errors import EXIT_DONE, EXIT_FAILED, InputError
from edgepress.observe.json_log import log_json
from edgepress_pipelines.trigger.receiver.handler import Services, events_application
from edgepress_pipelines.trigger.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.trigger.receiver.pending import Delays
from edgepress_pipelines.trigger.receiver.server import MAX_CONNECTIONS, MAX_STATUS_CONNECTIONS, BoundedServer
from edgepress_pipelines.trigger.receiver.status import StatusServices, status_application
from edgepress_pipelines.trigger.receiver.token_file import TokenFile
from edgepress_pipelines.trigger.receiver.worker import Check, Worker

LISTEN_OPTION = "--listen"
STATUS_OPTION = "--listen-status"
ANSWER_GRACE_S = 15.0
"""For requests under way when the process is told to end: more than their own limit and their answer's take."""
STOP_GRACE_S = 45.0
"""For the last check after that. Both, and the pause before the pod is told to end, are less than the 75 s that it is given."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReceiverSettings:
    """How the receiver listens.

    Attributes:
        address: host and port for events; port 0 takes any free one.
        token_file: who may send events.
        status_address: host and port for health and metrics; None when nobody asks.
        delays: between events and checks.
        stop_grace_s: for the last check at the end.
    """

    address: tuple[str, int]
    token_file: Path
    status_address: tuple[str, int] | None = None
    delays: Delays = field(default_factory=Delays)
    stop_grace_s: float = STOP_GRACE_S


def parse_address(option: str, text: str) -> tuple[str, int]:
    """Host and port that an option names: ``0.0.0.0:8080``, ``localhost:8080`` or ``[::]:8080``.

    Raises:
        InputError: it is none of them.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise InputError(f"{option} {text}: is not HOST:PORT, e.g. 0.0.0.0:8080 or [::]:8080")
    return match[1] or match[2], int(match[3])


def serve(settings: ReceiverSettings, pipeline: str, check: Check, watched: Callable[[], tuple[str, ...]]) -> int:
    """Receive events until SIGTERM or SIGINT; gives the exit code: 1 when a check had to be cut off.

    Whatever was accepted is checked before it ends. A check that is cut off has either started its run or not: the next receiver's first
    check, or the CronJob's, makes up for it.

    Args:
        settings: where to listen, and to whom.
        pipeline: its name, for logs and metrics.
        check: looks whether a run is due, and starts it.
        watched: gives the sources at ``s3://`` that events must concern.

    Raises:
        InputError: the address or the token file is wrong.
    """
    tokens = TokenFile(settings.token_file)
    tokens.read()
    metrics = ReceiverMetrics(pipeline)
    worker = Worker(check, metrics.count_check, settings.delays)
    told_to_stop = threading.Event()
    with ExitStack() as opened:
        events = opened.enter_context(events_server(settings.address, Services(worker, tokens, metrics, watched)))
        listening = {"host": settings.address[0], "port": events.port}
        if settings.status_address is not None:
            status = opened.enter_context(
                status_server(settings.status_address, StatusServices(worker, tokens, metrics, events.is_listening))
            )
            status.start("status")
            opened.callback(status.stop, 1.0)
            listening["status_port"] = status.port
        log_json(pipeline=pipeline)
        # Each check asks the store, and botocore tells each time where its credentials are.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told_to_stop.set())
        worker.start()
        events.start("events")
        logger.info("listening", extra=listening)
        told_to_stop.wait()
        logger.info("stopping")
        if not events.stop(ANSWER_GRACE_S):
            logger.warning("some requests were not answered in time")
        checked = worker.stop(settings.stop_grace_s)
    if checked:
        logger.info("stopped")
        return EXIT_DONE
    logger.error("stopped while a check was under way")
    return EXIT_FAILED


def events_server(address: tuple[str, int], services: Services) -> BoundedServer:
    """A server for events; raises as ``BoundedServer`` does."""
    return BoundedServer(
        LISTEN_OPTION,
        address,
        events_application(services),
        limit=MAX_CONNECTIONS,
        limits=services.limits,
        refused=services.note_refusal,
        crowded_out=lambda: services.metrics.count_request("unknown", "crowded_out"),
    )


def status_server(address: tuple[str, int], services: StatusServices) -> BoundedServer:
    """A server for health and metrics; raises as ``BoundedServer`` does."""
    return BoundedServer(STATUS_OPTION, address, status_application(services), limit=MAX_STATUS_CONNECTIONS, limits=services.limits)
