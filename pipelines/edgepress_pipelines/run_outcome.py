"""How a run ended, here or on Kubeflow, and what its exit code is."""

from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.release import MANIFEST_NAME, read_manifest, release_prefix
from edgepress.contracts.verdict import Verdict
from edgepress.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_REJECTED
from edgepress.task import TaskEvent
from edgepress_pipelines.plan import RunProgress

VERDICT_EXIT_CODES = {"passed": EXIT_DONE, "rejected": EXIT_REJECTED, "inconclusive": EXIT_INCONCLUSIVE}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        verdict: None when the run failed before the gate had judged.
        run_dir: the run's folder.
        exit_code: of the command.
        published_uri: where the bundle was published; None unless it passed.
        message: why it failed, in one line; None when it reached a verdict and did what follows from it.
    """

    verdict: Verdict | None
    run_dir: Path
    exit_code: int
    published_uri: str | None
    message: str | None


def judged(verdict: Verdict, run_dir: Path, published: str | None) -> RunOutcome:
    """The outcome of a run that reached a verdict and did what follows from it."""
    return RunOutcome(
        verdict=verdict, run_dir=run_dir, exit_code=VERDICT_EXIT_CODES[verdict.outcome], published_uri=published, message=None
    )


def explain_failure(progress: RunProgress, run_dir: Path, otherwise: str) -> tuple[str, int]:
    """Why a run failed, in one line, and the exit code of its command.

    Args:
        otherwise: what to say when no task tells.
    """
    failed = progress.failed()
    if failed is not None and failed.message is not None:
        return f"{_title(failed)}: {failed.message} (logs: {run_dir / 'logs'})", failed.exit_code or EXIT_FAILED
    unfinished = progress.unfinished()
    if unfinished is not None:
        return f"{_title(unfinished)} ended without a word (killed, or out of memory?); see {run_dir / 'logs'}", EXIT_FAILED
    return otherwise, EXIT_FAILED


def published_uri(release_uri: str, name: str, bundle: Path) -> str | None:
    """Where a bundle was published: below the pipeline's ``release.uri``, by its digest. None when there is no bundle."""
    if not (bundle / MANIFEST_NAME).is_file():
        return None
    bucket, _, prefix = release_uri.removeprefix("s3://").partition("/")
    _, digest = read_manifest(bundle)
    return f"s3://{bucket}/{release_prefix(prefix, name, digest)}"


def _title(event: TaskEvent) -> str:
    return f"{event.task} of {event.recipe}" if event.recipe else event.task
