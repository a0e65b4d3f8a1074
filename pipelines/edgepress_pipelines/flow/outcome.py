"""How a run ended, here or on Kubeflow, and what its exit code is."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.release import read_published
from edgepress.contracts.verdict import Verdict
from edgepress.errors import EXIT_DONE, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_REJECTED
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


def explain_failure(progress: RunProgress, otherwise: str, see: str, failed_tasks: Set[str] = frozenset()) -> tuple[str, int]:
    """Why a run failed, in one line, and the exit code of its command.

    Args:
        otherwise: what to say when no task tells.
        see: where to read more, e.g. the folder of the logs.
        failed_tasks: the engine's names for tasks that failed, which tell those that could not say so themselves.
    """
    failed = progress.failed()
    if failed is not None and failed.message is not None:
        return f"{_title(failed.task, failed.recipe)}: {failed.message} (see {see})", failed.exit_code or EXIT_FAILED
    unfinished = progress.unfinished()
    killed = [event for event in unfinished if progress.engine_name(event) in failed_tasks]
    unheard = progress.unheard(failed_tasks)
    if unheard and not killed:
        first, *others = unheard
        alone = all(other.engine_name != first.engine_name for other in others)  # else nobody can say of which recipe
        named = _title(first.task, first.recipe if alone else None)
        return f"{named} failed before it could say a word (no such image, no room, a missing Secret?); see {see}", EXIT_FAILED
    if not unfinished:
        return otherwise, EXIT_FAILED
    last = (killed or unfinished)[0]
    return f"{_title(last.task, last.recipe)} ended without a word (killed, or out of memory?); see {see}", EXIT_FAILED


def published_uri(run_dir: Path) -> str | None:
    """Where a run's bundle was published, as its release task recorded it; None when it recorded nothing."""
    published = read_published(run_dir)
    return published.uri if published is not None else None


def _title(task: str, recipe: str | None) -> str:
    return f"{task} of {recipe}" if recipe else task
