"""What the receiver knows and decides, without a socket, a clock or a thread: ``(state, event, now) -> (state, answer)``."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from edgepress_pipelines.trigger.receiver.deduplication import Seen, remember
from edgepress_pipelines.trigger.receiver.events import Event, FiringAlert, is_relevant
from edgepress_pipelines.trigger.receiver.pending import Pending, mark
from edgepress_pipelines.trigger.receiver.rate_limit import TokenBucket, take

Answer = Literal["accepted", "duplicate", "ignored"]


@dataclass(frozen=True)
class ReceiverState:
    """All that is kept between requests. Nothing of it outlives the process: a check at its start catches up."""

    bucket: TokenBucket = field(default_factory=TokenBucket)
    seen: Seen = field(default_factory=Seen)
    pending: Pending = field(default_factory=Pending)


def throttle(state: ReceiverState, now_s: float) -> tuple[ReceiverState, float]:
    """Let an authenticated request in, before its body is read; gives after how many seconds to ask again, 0 when it is let in.

    One that is turned away may never come again and its body may have mattered, so it marks a check as well: of a burst only one comes.
    """
    bucket, retry_after_s = take(state.bucket, now_s)
    pending = state.pending if retry_after_s == 0.0 else mark(state.pending, now_s)
    return replace(state, bucket=bucket, pending=pending), retry_after_s


def receive(state: ReceiverState, events: Sequence[Event], watched: tuple[str, ...], now_s: float) -> tuple[ReceiverState, Answer]:
    """Take in the events of one request.

    ``accepted``: at least one is relevant and new, so a check is marked. ``duplicate``: the relevant ones were told before. ``ignored``:
    none is relevant, or there is none.
    """
    relevant = [event for event in events if isinstance(event, FiringAlert) or is_relevant(event, watched)]
    if not relevant:
        return state, "ignored"
    seen, fresh = remember(state.seen, (event.identity for event in relevant), now_s)
    if not fresh:
        return replace(state, seen=seen), "duplicate"
    return replace(state, seen=seen, pending=mark(state.pending, now_s)), "accepted"
