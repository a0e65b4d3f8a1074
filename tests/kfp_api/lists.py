"""Lists as KFP's API server answers them: filtered, sorted, a page at a time."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.kfp_api.messages import ApiError, parse

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 200

_COMPARISONS = {
    "EQUALS": lambda value, wanted: value.lower() == wanted.lower(),  # MySQL's collation takes no notice of case
    "NOT_EQUALS": lambda value, wanted: value.lower() != wanted.lower(),
    "IS_SUBSTRING": lambda value, wanted: wanted.lower() in value.lower(),
    "GREATER_THAN": lambda value, wanted: value > wanted,
    "GREATER_THAN_EQUALS": lambda value, wanted: value >= wanted,
    "LESS_THAN": lambda value, wanted: value < wanted,
    "LESS_THAN_EQUALS": lambda value, wanted: value <= wanted,
}
_VALUES = frozenset({"string_value", "timestamp_value", "int_value", "long_value", "string_values"})
_NUMBERED = {
    1: "EQUALS",
    2: "NOT_EQUALS",
    3: "GREATER_THAN",
    5: "GREATER_THAN_EQUALS",
    6: "LESS_THAN",
    7: "LESS_THAN_EQUALS",
    8: "IN",
    9: "IS_SUBSTRING",
}


def page(items: Sequence[dict[str, Any]], query: Mapping[str, str], keys: frozenset[str], field: str) -> dict[str, Any]:
    """One page of a list.

    Args:
        items: everything that the caller may see, in the order in which it was made.
        query: the request's parameters: page_size, page_token, sort_by, filter.
        keys: fields that may be filtered and sorted by.
        field: of the answer that holds the items.

    Raises:
        ApiError: a parameter is malformed.
    """
    predicates = _predicates(query.get("filter", ""), keys)
    chosen = [item for item in items if all(_holds(item, predicate) for predicate in predicates)]
    by, _, direction = query.get("sort_by", "").partition(" ")
    if by:
        if by not in keys or direction not in ("", "asc", "desc"):
            raise ApiError(400, f'Invalid sorting field: "{by}"')
        chosen.sort(key=lambda item: str(item.get(by, "")), reverse=direction == "desc")
    size = _page_size(query.get("page_size", "0"))
    start = _start(query.get("page_token", ""))
    answer: dict[str, Any] = {field: chosen[start : start + size], "total_size": len(chosen)}
    if start + size < len(chosen):
        answer["next_page_token"] = base64.b64encode(json.dumps({"start": start + size}).encode()).decode()
    return {key: value for key, value in answer.items() if value}


def _page_size(text: str) -> int:
    if not text.isdecimal():
        raise ApiError(400, f"The page size should be greater than 0. Got {text}")
    return min(int(text) or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        start = json.loads(base64.b64decode(token, validate=True))["start"]
    except (ValueError, KeyError) as error:
        raise ApiError(400, "Invalid package token") from error
    return int(start)


def _predicates(text: str, keys: frozenset[str]) -> list[dict[str, Any]]:
    """A filter's conditions, all of which must hold."""
    try:
        given = json.loads(text).get("predicates", []) if text else []
    except ValueError as error:
        raise ApiError(400, f"failed to parse valid filter from {text!r}") from error
    predicates = []
    for item in given:
        operation = item.get("operation")
        named = item | {"operation": _NUMBERED.get(operation, "OPERATION_UNSPECIFIED")} if isinstance(operation, int) else item
        predicate = parse(named, "V2beta1Predicate")
        if predicate.get("key") not in keys:
            raise ApiError(400, f'no support for filtering on unrecognized field "{predicate.get("key")}"')
        if predicate.get("operation") not in {"IN", *_COMPARISONS}:
            raise ApiError(400, f"invalid predicate operation {predicate.get('operation')}")
        if not _VALUES & predicate.keys():
            raise ApiError(400, "no value set for the predicate")
        predicates.append(predicate)
    return predicates


def _holds(item: Mapping[str, Any], predicate: Mapping[str, Any]) -> bool:
    value = str(item.get(predicate["key"], ""))
    if predicate["operation"] == "IN":
        return value in predicate["string_values"]["values"]
    wanted = next(str(predicate[name]) for name in sorted(_VALUES) if name in predicate)
    return bool(_COMPARISONS[predicate["operation"]](value, wanted))
