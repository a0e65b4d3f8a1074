"""How a run ended, here or on Kubeflow, and what its exit code is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.release import read_published
from edgepress.contracts.verdict import Verdict
from edgepress.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_REJECTED
from edgepress.task import TaskEvent
from edgepress_pipelines.flow.progress import RunProgress

VERDICT_EXIT_CODES = {"passed": EXIT_DONE, "rejected": EXIT_REJECTED, "inconclusive": EXIT_INCONCLUSIVE}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        verdict: None when the run failed before the gate had judged.
        run_dir: the run's folder.
        exit_code: of the command.
        published_uri: where the bundle was published; None when it was not.
        message: why it failed, in one line; None when it reached a verdict and did what follows from it.
    """

    verdict: Verdict | None
    run_dir: Path
    exit_code: int
    published_uri: str | None
    message: str | None


def judged(verdict: Verdict, run_dir: Path) -> RunOutcome:
    """The outcome of a run that reached a verdict and did what follows from it."""
    exit_code = VERDICT_EXIT_CODES[verdict.outcome]
    return RunOutcome(verdict=verdict, run_dir=run_dir, exit_code=exit_code, published_uri=published_uri(run_dir), message=None)


def explain_failure(progress: RunProgress, otherwise: str, see: str, killed: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Why a run failed, in one line, and the exit code of its command.

    Args:
        otherwise: what to say when no task tells.
        see: where to read more, e.g. the folder of the logs.
        killed: what the engine says about tasks that could not tell themselves; its name for a task -> why it ended.
    """
    failed = progress.failed()
    if failed is not None and failed.message is not None:
        return f"{_title(failed)}: {failed.message} (see {see})", failed.exit_code or EXIT_FAILED
    unfinished = progress.unfinished()
    for event in unfinished:
        reason = (killed or {}).get(progress.engine_name(event) or "")
        if reason is not None:
            return f"{_title(event)} was killed: {reason}; see {see}", EXIT_FAILED
    if not unfinished:
        return otherwise, EXIT_FAILED
    return f"{_title(unfinished[0])} ended without a word (killed, or out of memory?); see {see}", EXIT_FAILED


def published_uri(run_dir: Path) -> str | None:
    """Where a run's bundle was published, as its release task recorded it; None when it recorded nothing."""
    published = read_published(run_dir)
    return published.uri if published is not None else None


def _title(event: TaskEvent) -> str:
    return f"{event.task} of {event.recipe}" if event.recipe else event.task
