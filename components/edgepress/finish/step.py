"""The step ``finish``: the last of a run, whatever happened in it."""

import time

from edgepress.task import task, tell_figure
from edgepress.telemetry import RUN_LAST_COMPLETION, RUN_SUCCEEDED

_STATES = {
    # as the backend's metadata store and as KFP's local runner spell them
    "COMPLETE": "succeeded",
    "CACHED": "succeeded",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "stopped",
    "CANCELLED": "stopped",
}


@task("finish")
def finish(*, name: str, run_id: str, engine_state: str, message: str = "") -> None:
    """Tell the run's metrics how it ended. Needs no store, so that a run which failed for want of one is still counted.

    Args:
        name: the pipeline's.
        run_id: of the run.
        engine_state: KFP's word for how it ended, e.g. COMPLETE or FAILED.
        message: KFP's reason; empty when it gives none.
    """
    state = _STATES.get(engine_state, "unknown")
    tell_figure(RUN_LAST_COMPLETION, time.time())
    if state in ("succeeded", "failed"):  # a run that somebody stopped, or that KFP had not settled, is neither
        tell_figure(RUN_SUCCEEDED, float(state == "succeeded"))
    print(f"run {run_id} of {name}: {state}{f' ({message})' if message else ''}")
