"""When to look next: after a burst has ended, and again after a failure, later each time. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Delays:
    """Seconds.

    Attributes:
        debounce_s: quiet after the last event before a check. An upload of many files is one check, and one run.
        postpone_at_most_s: after the first event, for senders that are never quiet.
        first_retry_s, longest_retry_s: after a check that failed; doubled each time.
    """

    debounce_s: float = 10.0
    postpone_at_most_s: float = 600.0
    first_retry_s: float = 5.0
    longest_retry_s: float = 300.0


@dataclass(frozen=True)
class Pending:
    """Whether a check is needed.

    Attributes:
        first_mark_s, last_mark_s: the events since the last check began; None when there were none.
        retry_at_s: of a check that failed; None when the last one did not.
        failures: in a row.
        checking: one is under way.
    """

    first_mark_s: float | None = None
    last_mark_s: float | None = None
    retry_at_s: float | None = None
    failures: int = 0
    checking: bool = False


def mark(pending: Pending, now_s: float) -> Pending:
    """Something happened: a check is needed."""
    return replace(pending, first_mark_s=now_s if pending.first_mark_s is None else pending.first_mark_s, last_mark_s=now_s)


def due_at(pending: Pending, delays: Delays) -> float | None:
    """When the next check is due; None when none is needed or one is under way.

    After a failure new events do not bring the check forward: whatever failed is given its time.
    """
    if pending.checking:
        return None
    if pending.retry_at_s is not None:
        return pending.retry_at_s
    if pending.first_mark_s is None or pending.last_mark_s is None:
        return None
    return min(pending.last_mark_s + delays.debounce_s, pending.first_mark_s + delays.postpone_at_most_s)


def begin(pending: Pending) -> Pending:
    """A check begins, and sees all that happened so far. What happens from now on needs another."""
    return replace(pending, first_mark_s=None, last_mark_s=None, retry_at_s=None, checking=True)


def end(pending: Pending, now_s: float, delays: Delays, *, succeeded: bool) -> Pending:
    """A check has ended."""
    if succeeded:
        return replace(pending, failures=0, checking=False)
    retry_s = min(delays.first_retry_s * 2.0 ** min(pending.failures, 30), delays.longest_retry_s)
    return replace(pending, failures=pending.failures + 1, retry_at_s=now_s + retry_s, checking=False)
