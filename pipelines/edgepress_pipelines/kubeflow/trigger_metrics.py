"""What a check by hand or by CronJob tells Prometheus: it lives too briefly to be scraped, so it pushes."""

import logging
import os
import time
from urllib.error import URLError

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from edgepress import telemetry

PUSHGATEWAY_VARIABLE = "EDGEPRESS_PUSHGATEWAY_URL"
PUSH_TIMEOUT_S = 3.0

logger = logging.getLogger(__name__)


def push_trigger(pipeline: str, *, started: bool) -> None:
    """Push what a check came to, to the Pushgateway that ``EDGEPRESS_PUSHGATEWAY_URL`` names. Never fails: a check is worth more."""
    url = os.environ.get(PUSHGATEWAY_VARIABLE)
    if not url:
        return
    registry = CollectorRegistry()
    for metric, happened in ((telemetry.TRIGGER_LAST_SUCCESS, True), (telemetry.TRIGGER_LAST_START, started)):
        if happened:
            Gauge(metric.name, metric.help, registry=registry).set(time.time())
    try:
        # Adding keeps the last start while only the last success is told.
        pushadd_to_gateway(url, telemetry.TRIGGER_JOB, registry, {telemetry.PIPELINE: pipeline}, timeout=PUSH_TIMEOUT_S)
    except (URLError, OSError, ValueError) as error:
        logger.warning("the Pushgateway at %s could not be told (%s)", url, error)
