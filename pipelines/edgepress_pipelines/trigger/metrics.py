"""What a check by hand or by CronJob tells Prometheus: it lives too briefly to be scraped, so it pushes."""

import time

from edgepress import telemetry
from edgepress.observe.metrics_push import push_figures
from edgepress.observe.telling import Figure


def push_trigger(pipeline: str, *, started: bool) -> str | None:
    """Push that it was found out whether a run is due, and that one was started if one was; see ``push_figures``. Never raises.

    Args:
        pipeline: its name.
        started: a run was.

    Returns:
        Why nothing may have been pushed, in one line; None when it was, or when there is no gateway.
    """
    now_s = time.time()
    figures = [Figure(telemetry.TRIGGER_LAST_SUCCESS, now_s, None)]
    if started:  # pushing adds: without this one the last start stays
        figures.append(Figure(telemetry.TRIGGER_LAST_START, now_s, None))
    return push_figures(telemetry.TRIGGER_JOB, {telemetry.PIPELINE: pipeline}, figures)
