"""YAML text to plain data, strictly, with the line that each value stands on.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), which is what people expect: ``1e-3`` is a number,
``on`` and ``2026-01-31`` are text. PyYAML's own rules are those of YAML 1.1, where each of the three is something else.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from edgepress.errors import ConfigError, one_line

KeyPath = tuple[str | int, ...]

_MAX_VALUES = 20_000
"""Aliases can make a short file endless; a configuration has a few hundred values."""


@dataclass(frozen=True)
class YamlDocument:
    """Plain data, and for the path of each value in it the line (from 1) where it begins; for a mapping's value, its key's line."""

    data: JsonValue
    lines: Mapping[KeyPath, int]


def read_yaml(text: str, name: str) -> YamlDocument:
    """Read one YAML document made of mappings with text keys, lists, text, numbers, true, false and null.

    Args:
        text: the document.
        name: how errors call it, e.g. the file's path.

    Raises:
        ConfigError: it is not YAML, holds several documents, a key twice, a tag or an alias that contains itself.
    """
    reader = _Reader(text, name)
    try:
        node = reader.loader.get_single_node()
        return YamlDocument(data=None if node is None else reader.read(node, ()), lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError(f"{place}: broken YAML, {one_line(error.problem or error.context or 'cannot be read')}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: broken YAML, {one_line(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: broken YAML, it is nested too deeply") from error
    finally:
        reader.loader.dispose()


class _CoreSchemaLoader(yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
    ("tag:yaml.org,2002:merge", r"<<$", ["<"]),
):
    _CoreSchemaLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


class _Reader:
    """Walks the composed nodes of one document."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self._open: set[int] = set()
        self._values = 0
        try:
            self.loader = _CoreSchemaLoader(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: broken YAML, {one_line(error)}") from error

    def read(self, node: yaml.Node, path: KeyPath) -> JsonValue:
        self._values += 1
        if self._values > _MAX_VALUES:
            raise ConfigError(f"{self.name}: holds more than {_MAX_VALUES} values, aliases counted; that is no configuration")
        if id(node) in self._open:
            raise self._error(node, "an alias contains itself")
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self._list(node, path)
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, JsonValue]:
        self._expect_tag(node, "map")
        merged: dict[str, JsonValue] = {}
        own: dict[str, JsonValue] = {}
        key_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = self._merge(value_node, path) | merged
                continue
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                raise self._error(key_node, f"a key must be text, not {shown}; quote it")
            line = key_node.start_mark.line + 1
            if key in own:
                raise self._error(key_node, f"the key {key!r} stands here a second time; the first is in line {key_lines[key]}")
            key_lines[key] = line
            self.lines[(*path, key)] = line
            own[key] = self.read(value_node, (*path, key))
        return merged | own

    def _merge(self, node: yaml.Node, path: KeyPath) -> dict[str, JsonValue]:
        """``<<: *defaults`` or ``<<: [*first, *second]``: keys that the mapping does not have itself; the earlier source wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, JsonValue] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(source, "<< takes a mapping, or a list of mappings")
            value = self.read(source, path)
            assert isinstance(value, dict)
            merged = value | merged
        return merged

    def _list(self, node: yaml.SequenceNode, path: KeyPath) -> list[JsonValue]:
        self._expect_tag(node, "seq")
        return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: yaml.Node, path: KeyPath) -> JsonValue:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
                case "float":
                    number = float(text.lower().replace(".nan", "nan").replace(".inf", "inf"))
                    if not math.isfinite(number):  # JSON, in which parameters travel, knows neither
                        raise self._error(node, f"{'.'.join(map(str, path)) or text}: must be a finite number")
                    return number
                case "str" | "merge":
                    text.encode()  # half of a surrogate pair, which an escape can make, is a ValueError
                    return text
        except ValueError as error:
            raise self._error(node, f"{text[:40]!r} is not a valid {kind}") from error
        raise self._error(node, f"the tag {node.tag} is not allowed; give plain text, numbers, lists and mappings")

    def _expect_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            raise self._error(node, f"the tag {node.tag} is not allowed; give plain text, numbers, lists and mappings")

    def _error(self, node: yaml.Node, problem: str) -> ConfigError:
        return ConfigError(f"{self.name}:{node.start_mark.line + 1}: {problem}")
