"""The step ``finish``: the last of a run, whatever happened in it."""

import time

from edgepress.contracts.run import FINISHED_NAME, RunContext, RunEnd
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
def finish(*, name: str, run_id: str, engine_state: str, storage: str, message: str = "") -> None:
    """Record how a run ended, as ``runs/<run_id>/finished.json`` below the storage.

    Args:
        name: the pipeline's.
        run_id: of the run.
        engine_state: KFP's word for how it ended, e.g. COMPLETE or FAILED.
        storage: ``s3://bucket/prefix`` or a folder.
        message: KFP's reason; empty when it gives none.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    end = RunEnd.model_validate(
        {
            "name": name,
            "run_id": run_id,
            "state": _STATES.get(engine_state, "unknown"),
            "engine_state": engine_state,
            "message": message or None,
            "unix_time_s": time.time(),
        }
    )
    store, key = open_store_for_task(RunContext(name=name, storage=storage).folder(run_id))
    store.put_bytes(join_key(key, FINISHED_NAME), end.model_dump_json(indent=2).encode() + b"\n")
    tell_figure(RUN_LAST_COMPLETION, end.unix_time_s)
    if end.state in ("succeeded", "failed"):  # a run that somebody stopped, or that KFP had not settled, is neither
        tell_figure(RUN_SUCCEEDED, float(end.state == "succeeded"))
    print(f"run {run_id} of {name}: {end.state}")
