"""The receiver as a process: it listens, checks, and ends when it is told to."""

import logging
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgepress.errors import EXIT_DONE, EXIT_FAILED, InputError
from edgepress.observe.json_log import log_json
from edgepress_pipelines.kubeflow.receiver.handler import Services
from edgepress_pipelines.kubeflow.receiver.metrics import ReceiverMetrics
from edgepress_pipelines.kubeflow.receiver.pending import Delays
from edgepress_pipelines.kubeflow.receiver.server import ReceiverServer
from edgepress_pipelines.kubeflow.receiver.token_file import TokenFile
from edgepress_pipelines.kubeflow.receiver.worker import Check, Worker

STOP_GRACE_S = 45.0
"""For a check under way when the process is told to end; less than the 60 s that its pod is given."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReceiverSettings:
    """How the receiver listens.

    Attributes:
        host, port: to listen on; port 0 takes any free one.
        token_file: who may send events.
        delays: between events and checks.
        stop_grace_s: for a check under way at the end.
    """

    host: str
    port: int
    token_file: Path
    delays: Delays = field(default_factory=Delays)
    stop_grace_s: float = STOP_GRACE_S


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ``--listen``: ``0.0.0.0:8080``, ``localhost:8080`` or ``[::]:8080``.

    Raises:
        InputError: it is none of them.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise InputError(f"--listen {text}: is not HOST:PORT, e.g. 0.0.0.0:8080 or [::]:8080")
    return match[1] or match[2], int(match[3])


def serve(settings: ReceiverSettings, pipeline: str, check: Check, watched: Callable[[], tuple[str, ...]]) -> int:
    """Receive events until SIGTERM or SIGINT; gives the exit code: 1 when a check had to be cut off.

    A check that is cut off has either started its run or not: the next receiver's first check, or the CronJob's, makes up for it.

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
    with ReceiverServer(settings.host, settings.port, Services(worker, tokens, metrics, watched)) as server:
        log_json(pipeline=pipeline)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told_to_stop.set())
        worker.start()
        listener = threading.Thread(target=server.serve_forever, name="listener", daemon=True)
        listener.start()
        logger.info("listening", extra={"host": settings.host, "port": server.server_port})
        told_to_stop.wait()
        logger.info("stopping")
        server.shutdown()
    if worker.stop(settings.stop_grace_s):
        logger.info("stopped")
        return EXIT_DONE
    logger.error("stopped while a check was under way")
    return EXIT_FAILED
