"""Remembering what was told already: for a time, and never more than a number. Pure.

Forgetting too early costs one check that finds nothing. Alertmanager repeats a firing alert every few hours, and each repetition renews
what is remembered of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

REMEMBER_S = 24 * 3600.0
MAX_REMEMBERED = 10_000
"""Identities of 71 characters: about 2 MB at most."""


@dataclass(frozen=True)
class Seen:
    """Identities, each with when it was last told, oldest first."""

    last_told_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def remember(
    seen: Seen, identities: Iterable[str], now_s: float, *, remember_s: float = REMEMBER_S, limit: int = MAX_REMEMBERED
) -> tuple[Seen, frozenset[str]]:
    """Remember identities; gives what is remembered now, and which of them are new."""
    told = list(dict.fromkeys(identities))
    known = {identity: when for identity, when in seen.last_told_s.items() if now_s - when < remember_s}
    fresh = frozenset(identity for identity in told if identity not in known)
    for identity in told:
        known.pop(identity, None)
        known[identity] = now_s
    newest = list(known.items())[-limit:]
    return Seen(MappingProxyType(dict(newest))), fresh
