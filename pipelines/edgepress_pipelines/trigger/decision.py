"""Whether a run is due: a pure function of the last verdict, the runs that the cluster knows, and what a run would be computed from now."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from edgepress.contracts.digest import Digest
from edgepress.contracts.last_verdict import Fingerprint, LastVerdict

MAX_FAILURES = 3
"""Runs of one fingerprint that may fail in a row. A pod may have been evicted; the fourth would fail like the third."""

RunState = Literal["active", "silent", "succeeded", "failed", "stopped"]


@dataclass(frozen=True)
class KnownRun:
    """A run on the cluster, of the code and configuration that a run would have now.

    Attributes:
        run_id: KFP's identifier.
        state: ``silent`` is one in progress that may not live any more, see ``sign_of_life``; ``failed`` is also one that cannot;
            ``stopped`` is one that somebody ended on purpose.
        dataset: digest of the source when the run was started; None when whoever started it did not look, as a schedule does not.
    """

    run_id: str
    state: RunState
    dataset: Digest | None


@dataclass(frozen=True)
class Start:
    """A run is due; ``reason`` is a clause that says why."""

    reason: str


@dataclass(frozen=True)
class AlreadyRunning:
    """A run of this very fingerprint is in progress, or, unless ``surely``, one that may be: what data it saw is not known yet.

    ``is_silent`` is one that may not live any more.
    """

    run_id: str
    surely: bool
    is_silent: bool = False


@dataclass(frozen=True)
class Unchanged:
    """Nothing that a verdict follows from has changed since the last one, whose run did all that it had to do."""

    reason: str


@dataclass(frozen=True)
class GivenUp:
    """A run would be due, but those before it on the same fingerprint failed or were stopped, and one more would be too."""

    reason: str


Decision = Start | AlreadyRunning | Unchanged | GivenUp


def decide(now: Fingerprint, last: LastVerdict | None, runs: Sequence[KnownRun], *, force: bool = False) -> Decision:
    """Decide whether a run is due.

    A run in progress on another fingerprint does not stand in the way: it judges what is out of date by now. A run in progress on the
    same one does, even with ``force``, because both would write the same checkpoints; and so does one that may be on the same one. One
    that is silent gives way to ``force`` alone.

    A verdict is written before what passed is released. So a verdict alone is no ground to do nothing: a run that passed must not have
    failed afterwards.

    Args:
        now: of a run that would start now, all three digests.
        last: the newest verdict; None when there is none.
        runs: those of the same code and configuration, newest first.
        force: start although nothing has changed, or although runs with this change failed or were stopped.
    """

    def dataset_of(run: KnownRun) -> Digest | None:
        # A run that has reached its verdict says there what it saw.
        return last.fingerprint.dataset if last is not None and last.fingerprint is not None and run.run_id == last.run_id else run.dataset

    in_the_way = ("active",) if force else ("active", "silent")
    active = next((run for run in runs if run.state in in_the_way and dataset_of(run) in (None, now.dataset)), None)
    if active is not None:
        return AlreadyRunning(active.run_id, surely=dataset_of(active) is not None, is_silent=active.state == "silent")
    if force:
        return Start("it was forced")
    same = [run for run in runs if dataset_of(run) == now.dataset]
    cut_short = last is not None and last.outcome == "passed" and _ended_badly(last.run_id, same)
    if last is not None and last.fingerprint == now and not cut_short:
        return Unchanged(f"nothing has changed since the verdict of run {last.run_id} ({last.outcome})")
    if same and same[0].state == "stopped":
        return GivenUp(f"run {same[0].run_id} on the same data, code and configuration was stopped; start anew with --force")
    failed = list(takewhile(lambda run: run.state == "failed", same))
    if len(failed) >= MAX_FAILURES:
        return GivenUp(
            f"the last {len(failed)} runs on the same data, code and configuration failed, the newest is {failed[0].run_id}; "
            "mend the cause, or start anew with --force"
        )
    if last is not None and last.fingerprint == now:
        return Start(f"run {last.run_id} failed after its verdict (passed) and may not have released")
    return Start(_what_changed(now, last))


def _ended_badly(run_id: str, runs: Sequence[KnownRun]) -> bool:
    """Whether this run failed or was stopped, and so did all after it: none has done what it left undone."""
    return any(run.run_id == run_id for run in takewhile(lambda run: run.state in ("failed", "stopped"), runs))


def _what_changed(now: Fingerprint, last: LastVerdict | None) -> str:
    if last is None:
        return "there is no verdict yet"
    if last.fingerprint is None:
        return f"the last verdict, of run {last.run_id}, does not say what it was computed from"
    parts = now.differences(last.fingerprint)
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{listed} changed since the verdict of run {last.run_id} ({last.outcome})"
