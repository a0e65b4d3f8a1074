"""From pydantic's list of errors to one line: where, which key, what is wrong, what is allowed."""

import difflib
import json
from collections.abc import Callable
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from edgepress.contracts.config import ENDPOINT_URL_PATTERN, NAME_PATTERN, PipelineConfig
from edgepress.contracts.kubeflow import (
    CPU_PATTERN,
    DNS_LABEL_PATTERN,
    LABEL_VALUE_PATTERN,
    MEMORY_PATTERN,
    MOUNT_PATH_PATTERN,
    OBJECT_NAME_PATTERN,
    S3_URI_PATTERN,
)
from edgepress_pipelines.config.yaml_reader import KeyPath

_PATTERN_MEANINGS = {
    NAME_PATTERN: "1 to 48 lower-case letters, digits, '-' and '_', with a letter or digit at both ends",
    S3_URI_PATTERN: "of the form s3://bucket/prefix, a bucket being 3 to 63 lower-case letters, digits, '-' and '.'",
    ENDPOINT_URL_PATTERN: "of the form http://host:port or https://host",
    CPU_PATTERN: "processors such as 2, 0.5 or 500m",
    MEMORY_PATTERN: "memory in Mi or Gi, such as 512Mi or 4Gi",
    OBJECT_NAME_PATTERN: "the name of a Kubernetes object: lower-case letters, digits, '-' and '.', such as edgepress-s3",
    DNS_LABEL_PATTERN: "1 to 63 lower-case letters, digits and '-', such as edgepress-runs",
    LABEL_VALUE_PATTERN: "a label's value: at most 63 letters, digits, '-', '_' and '.', such as gpu-a100",
    MOUNT_PATH_PATTERN: "an absolute path such as /mnt/data",
}
_TYPE_NAMES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "list_type": "a list",
}
_EXAMPLES = {"memory": "4Gi"}
"""Of keys whose values are easily taken for numbers."""
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_MAX_SHOWN_CHARACTERS = 60


def explain(error: ValidationError, data: JsonValue, place_of: Callable[[KeyPath], tuple[int, str]]) -> str:
    """The first error in the order of the file, as one line; how many more there are stands at its end.

    Args:
        error: what validation found.
        data: what was validated.
        place_of: the line number (to sort by) and the place, as shown to the user, of a key.
    """
    details = error.errors(include_url=False)
    # A list whose items are wrong is also reported as too short: that says nothing.
    roots = [detail for detail in details if not (detail["type"] == "too_short" and _has_wrong_items(detail, details))]
    first, *others = sorted(roots, key=lambda detail: place_of(detail["loc"])[0])
    more = f" (and {len(others)} more)" if others else ""
    key = dotted(first["loc"], data)
    return f"{place_of(first['loc'])[1]}: {key + ': ' if key else ''}{_problem(first)}{more}"


def dotted(path: KeyPath, data: JsonValue) -> str:
    """A path as ``--set`` takes it: ``recipes.int8.convert.io``; an item that names its recipe by that name, others by their index."""
    parts = []
    value: Any = data
    for part in path:
        value = value[part] if _has(value, part) else None
        name = value.get("recipe") if isinstance(part, int) and isinstance(value, dict) else None
        parts.append(name if isinstance(name, str) and name else str(part))
    return ".".join(parts)


def kind_of(value: object) -> str:
    """How a value of plain data is called: ``the text 'x'``, ``3.5``, ``a list``, ``empty``."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping of keys"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {_shorten(repr(value))}"
    return _shorten(json.dumps(value))


def nearest(word: str, allowed: list[str]) -> str:
    """``; did you mean 'x'?``, or nothing when none is near."""
    found = difflib.get_close_matches(word.lower(), allowed, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def _problem(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if kind == "missing":
        return "needs one more value" if isinstance(detail["loc"][-1], int) else "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in _TYPE_NAMES:
        quoted = isinstance(value, str) and kind in ("int_type", "float_type", "bool_type")
        example = f", e.g. {_EXAMPLES[str(detail['loc'][-1])]}" if kind == "string_type" and detail["loc"][-1] in _EXAMPLES else ""
        return f"must be {_TYPE_NAMES[kind]}{example}, is {kind_of(value)}" + ("; drop the quotes if it has any" if quoted else "")
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {context[key]:g}, is {kind_of(value)}"
    if kind == "literal_error":
        allowed = [part.strip("'") for part in str(context["expected"]).replace(" or ", ", ").split(", ")]
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        return f"must be {' or '.join(allowed) if len(allowed) < 3 else 'one of ' + ', '.join(allowed)}, is {kind_of(value)}{hint}"
    if kind == "string_pattern_mismatch":
        return f"must be {_PATTERN_MEANINGS.get(context['pattern'], 'text that matches ' + context['pattern'])}, is {kind_of(value)}"
    if kind == "too_short":
        return f"needs at least {context['min_length']}, has {context['actual_length'] or 'none'}"
    if kind == "too_long":
        return f"takes at most {context['max_length']}, has {context['actual_length'] or 'more'}"
    if kind == "finite_number":
        return "must be a finite number"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, is {kind_of(value)}"


def _unknown_key(path: KeyPath) -> str:
    key = str(path[-1])
    model = _model_at(path[:-1])
    fields = _fields(model) if model else {}
    hint = nearest(key, list(fields))
    if not hint:
        below = [name for name, inner in fields.items() if inner is not None and key in _fields(inner)]
        hint = f"; it belongs under {' or '.join(below)}" if below else ""
    return f"unknown key{hint or ''}{'' if hint.endswith('?') else ';'} known here: {', '.join(fields)}"


def _model_at(path: KeyPath) -> type[BaseModel] | None:
    """The contract that describes a path of a configuration."""
    model: type[BaseModel] | None = PipelineConfig
    for part in path:
        if isinstance(part, str):
            model = _fields(model).get(part) if model else None
    return model


def _fields(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The keys of a contract as written in YAML, each with the contract inside it, if there is one."""
    return {field.alias or name: _contract_in(field.annotation) for name, field in model.model_fields.items()}


def _contract_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _contract_in(inner))), None)


def _has_wrong_items(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    depth = len(detail["loc"])
    return any(len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in details)


def _has(value: object, part: str | int) -> bool:
    return (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[: _MAX_SHOWN_CHARACTERS - 3] + "..."
