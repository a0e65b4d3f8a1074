"""Publishing a run's summary where everybody who follows the pipeline reads it: in the object store that all its runs share.

runs/<run_id>/          the summary; ``verdict.json`` is written last, so a folder that has one is whole
verdicts/<name>.json    of the pipeline's verdicts the one whose run started last, written after that
"""

from pathlib import Path

from pydantic import ValidationError

from edgepress.contracts.last_verdict import LastVerdict, last_verdict_key
from edgepress.contracts.run import run_key
from edgepress.contracts.verdict import VERDICT_NAME
from edgepress.storage import ObjectStore, join_key, open_store_for_task


def publish_summary(summary: Path, storage: str, name: str, last: LastVerdict) -> str:
    """Copy a summary's files into the run's folder, then let the pipeline's newest verdict be this one, unless a later run has given one.

    Publishing again writes the same objects over, so a task that was cut short may be tried again.

    Args:
        summary: directory with verdict.json and the rest.
        storage: URI of the object store.
        name: of the pipeline.
        last: the run, and its verdict.

    Returns:
        The URI of the run's folder.

    Raises:
        ConfigError: ``storage`` names no store.
        StorageError: the store cannot be reached or refuses. The newest verdict is then as it was.
    """
    store, prefix = open_store_for_task(storage)
    run = run_key(last.run_id)
    files = [path for path in summary.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path == summary / VERDICT_NAME, path)):
        store.put_file(join_key(prefix, run, path.relative_to(summary).as_posix()), path)
    _replace_last(store, join_key(prefix, last_verdict_key(name)), last)
    return f"{storage.rstrip('/')}/{run}"


def _replace_last(store: ObjectStore, key: str, last: LastVerdict) -> None:
    """A run that takes long ends after one that started later and saw newer data: its verdict is not the newest.

    Between looking and writing lies a moment: of two runs that end at once the older may win. The trigger then starts a run too many.
    """
    there = _read(store, key)
    if there is not None and there.started_unix_s > last.started_unix_s:
        print(f"run {there.run_id} started later and has given its verdict already; it stays the newest")
        return
    store.put_bytes(key, last.model_dump_json(indent=2).encode())


def _read(store: ObjectStore, key: str) -> LastVerdict | None:
    if not store.exists(key):
        return None
    try:
        return LastVerdict.model_validate_json(store.get_bytes(key))
    except ValidationError:
        return None  # another release's; this run's is read by the trigger that started it
