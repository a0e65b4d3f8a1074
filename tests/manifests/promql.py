"""What a PromQL expression refers to. Whether it is PromQL at all is for promtool to say; this only finds names in what it accepts."""

import re
from typing import NamedTuple

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![a-zA-Z0-9_:.])([a-zA-Z_:][a-zA-Z0-9_:]*)(?!\s*\()\b(?![a-zA-Z0-9_:])")
_MATCHER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*")')
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}


class Selector(NamedTuple):
    """A metric and what is asked of its labels: label, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


class References(NamedTuple):
    """What an expression refers to."""

    selectors: tuple[Selector, ...]
    grouped_by: frozenset[str]

    @property
    def metrics(self) -> frozenset[str]:
        """Names of metrics."""
        return frozenset(selector.metric for selector in self.selectors)


def references(expression: str) -> References:
    """Names of metrics, of their matched labels, and of labels that are grouped by."""
    selectors = [
        Selector(name, tuple((label, operator, value[1:-1]) for label, operator, value in _MATCHER.findall(matchers)))
        for name, matchers in _SELECTOR.findall(expression)
    ]
    rest = _RANGE.sub(" ", _SELECTOR.sub(" ", _STRING.sub(lambda string: string[0], expression)))
    groups = [label.strip() for labels in _GROUPING.findall(rest) for label in labels.split(",") if label.strip()]
    plain = _NAME.findall(_GROUPING.sub(" ", rest))
    selectors += [Selector(name, ()) for name in plain if name not in _KEYWORDS]
    return References(tuple(selectors), frozenset(groups))
