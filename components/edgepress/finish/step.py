"""The step ``finish``: the last of a run, whatever happened in it."""

import time

from pydantic import ValidationError

from edgepress.contracts.release import PUBLISHED_NAME
from edgepress.contracts.verdict import VERDICT_NAME, Verdict
from edgepress.errors import EdgePressError
from edgepress.storage import join_key, open_store_for_task
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
def finish(*, name: str, run_id: str, engine_state: str, message: str = "", folder: str = "") -> None:
    """Tell the run's metrics how it ended. A run that failed for want of a store is still counted.

    After a loop whose tasks came from the cache, KFP 2.17.0 says RUNNING of a run that has ended. Then what the run left tells: with a
    verdict it did what follows from it, and where that was to release, it recorded the release too.

    Args:
        name: the pipeline's.
        run_id: of the run.
        engine_state: KFP's word for how it ended, e.g. COMPLETE or FAILED.
        message: KFP's reason; empty when it gives none.
        folder: URI of the run's folder; empty where there is none.
    """
    state = _STATES.get(engine_state, "unknown")
    if state == "unknown" and folder:
        try:
            state = "succeeded" if _did_everything(folder) else "unknown"
        except EdgePressError as error:
            message = str(error)
        except ValidationError:
            message = f"{folder}/{VERDICT_NAME} was not written by this release of EdgePress and cannot be read"
    tell_figure(RUN_LAST_COMPLETION, time.time())
    if state in ("succeeded", "failed"):  # a run that somebody stopped, or that KFP had not settled, is neither
        tell_figure(RUN_SUCCEEDED, float(state == "succeeded"))
    print(f"run {run_id} of {name}: {state}{f' ({message})' if message else ''}")


def _did_everything(folder: str) -> bool:
    store, prefix = open_store_for_task(folder)
    key = join_key(prefix, VERDICT_NAME)
    if not store.exists(key):
        return False
    verdict = Verdict.model_validate_json(store.get_bytes(key))
    return verdict.outcome != "passed" or store.exists(join_key(prefix, PUBLISHED_NAME))
