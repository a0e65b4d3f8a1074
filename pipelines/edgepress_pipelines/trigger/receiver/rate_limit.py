"""A token bucket: so many requests at once, so many a second after that. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TokenBucket:
    """Holds up to ``capacity`` tokens, gains ``refill_per_s`` a second; each request takes one.

    Attributes:
        tokens: held at ``updated_s``; None stands for a full bucket that nobody has used yet.
    """

    capacity: float = 100.0
    refill_per_s: float = 20.0
    tokens: float | None = None
    updated_s: float = 0.0


def take(bucket: TokenBucket, now_s: float) -> tuple[TokenBucket, float]:
    """Take a token; gives the bucket, and after how many seconds to ask again: 0 when there was one."""
    if bucket.tokens is None:
        held = bucket.capacity
    else:
        held = min(bucket.capacity, bucket.tokens + max(0.0, now_s - bucket.updated_s) * bucket.refill_per_s)
    if held >= 1.0:
        return replace(bucket, tokens=held - 1.0, updated_s=now_s), 0.0
    return replace(bucket, tokens=held, updated_s=now_s), (1.0 - held) / bucket.refill_per_s
