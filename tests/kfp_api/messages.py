"""KFP's JSON messages on the wire: what its API server takes, and how it answers.

It reads strictly: a field that a message does not have is refused (``protojson`` without ``DiscardUnknown``). When it answers, it leaves
out what has its zero value (``EmitUnpopulated: false``). Which fields there are is taken from the models of ``kfp_server_api``.
"""

import re
from collections.abc import Mapping
from typing import Any

import kfp_server_api.models as models

CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
"""HTTP status -> gRPC code, as grpc-gateway translates them."""


class ApiError(Exception):
    """Ends a request with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def body(self) -> dict[str, Any]:
        """As grpc-gateway writes it."""
        return {"code": CODES.get(self.status, 2), "message": self.message, "details": []}


def parse(message: Any, type_name: str) -> dict[str, Any]:
    """A message with its fields' own names.

    Raises:
        ApiError: a field is unknown or of another type.
    """
    if not isinstance(message, dict):
        raise ApiError(400, f"proto: syntax error: unexpected token for {type_name}")
    model = getattr(models, type_name)
    names = {json_name: name for name, json_name in model.attribute_map.items()} | {name: name for name in model.attribute_map}
    names |= {_camel(name): name for name in model.attribute_map}
    parsed = {}
    for key, value in message.items():
        if key not in names:
            raise ApiError(400, f'proto: unknown field "{key}"')
        if value is not None:
            parsed[names[key]] = _value(value, model.openapi_types[names[key]], key)
    return parsed


def written(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as it is answered: without what is unset. Integers of 64 bits are strings."""
    kept = {key: value for key, value in message.items() if value not in (None, "", [], {}, False, 0)}
    return kept | ({"max_concurrency": str(kept["max_concurrency"])} if "max_concurrency" in kept else {})


def _value(value: Any, type_name: str, key: str) -> Any:
    found = re.fullmatch(r"list\[(\w+)\]", type_name)
    if found:
        return [_value(item, found[1], key) for item in value]
    if type_name.startswith("dict("):
        if not isinstance(value, dict):
            raise ApiError(400, f"proto: invalid value for field {key}")
        return value
    if type_name in ("str", "datetime"):
        if not isinstance(value, str) and not (key == "max_concurrency" and isinstance(value, int)):
            raise ApiError(400, f"proto: invalid value for string field {key}: {value}")
        return str(value)
    if type_name == "bool":
        if not isinstance(value, bool):
            raise ApiError(400, f"proto: invalid value for bool field {key}: {value}")
        return value
    if type_name in ("int", "object"):
        return value
    model = getattr(models, type_name)
    if not model.openapi_types:  # an enumeration
        if value not in model.allowable_values:
            raise ApiError(400, f"proto: invalid value for enum field {key}: {value}")
        return value
    return parse(value, type_name)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)
