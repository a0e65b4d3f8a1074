"""Asking KFP for everything of a kind, page by page."""

import json
from collections.abc import Callable, Iterator
from typing import Any

_PAGE_SIZE = 100


def named(name: str) -> str:
    """The filter for what has exactly this display name (KFP's ``filter.proto`` as JSON)."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def every(ask: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
    """Each item of a list request, over all its pages.

    Args:
        ask: the request, e.g. ``connection.runs.run_service_list_runs``.
        field: of the answer that holds the items; absent when there are none.
        arguments: of the request; those that are None are left out.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    token = ""
    while True:
        answer = ask(page_size=_PAGE_SIZE, page_token=token, **given)
        yield from getattr(answer, field) or ()
        token = answer.next_page_token or ""
        if not token:
            return
