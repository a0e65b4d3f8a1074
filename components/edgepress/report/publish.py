"""Publishing a run's summary where everybody who follows the pipeline reads it: in the object store that all its runs share.

runs/<run_id>/          the summary; ``verdict.json`` is written last, so a folder that has one is whole
verdicts/<name>.json    the newest verdict of the pipeline, written after that
"""

from pathlib import Path

from edgepress.contracts.last_verdict import Fingerprint, LastVerdict, last_verdict_key
from edgepress.contracts.verdict import VERDICT_NAME, Outcome
from edgepress.storage import join_key, open_store_for_task


def publish_summary(summary: Path, storage: str, *, name: str, run_id: str, fingerprint: Fingerprint | None, outcome: Outcome) -> str:
    """Copy a summary's files into the run's folder, then let the pipeline's newest verdict be this one.

    Publishing again writes the same objects over, so a task that was cut short may be tried again.

    Args:
        summary: directory with verdict.json and the rest.
        storage: URI of the object store.
        name: of the pipeline.
        fingerprint: what the run was computed from.

    Returns:
        The URI of the run's folder.

    Raises:
        ConfigError: ``storage`` names no store.
        StorageError: the store cannot be reached or refuses. The newest verdict is then as it was.
    """
    store, prefix = open_store_for_task(storage)
    run = join_key("runs", run_id)
    files = [path for path in summary.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path == summary / VERDICT_NAME, path)):
        store.put_file(join_key(prefix, run, path.relative_to(summary).as_posix()), path)
    last = LastVerdict(run_id=run_id, fingerprint=fingerprint, outcome=outcome)
    store.put_bytes(join_key(prefix, last_verdict_key(name)), last.model_dump_json(indent=2).encode())
    return f"{storage.rstrip('/')}/{run}"
