"""The YAML reader: YAML 1.2 scalars, lines, and everything a configuration must not hold."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.errors import ConfigError
from edgepress_pipelines.config.yaml_reader import read_yaml

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
PLAIN_DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)


@settings(deadline=None)
@given(PLAIN_DATA)
def test_json_is_read_as_json_says(data: object) -> None:
    assert read_yaml(json.dumps(data, ensure_ascii=False), "x").data == data


@settings(deadline=None)
@given(st.dictionaries(TEXT, SCALARS, max_size=6))
def test_what_pyyaml_writes_comes_back(data: dict[str, object]) -> None:
    assert read_yaml(yaml.safe_dump(data, allow_unicode=True, default_style='"'), "x").data == data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E3", 2000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("2026-01-31", "2026-01-31"),
        ("'1'", "1"),
        ("=", "="),
        ("1e", "1e"),
        ("[1, a, {b: 2.5}]", [1, "a", {"b": 2.5}]),
    ],
)
def test_scalars_of_the_core_schema(text: str, value: object) -> None:
    read = read_yaml(text, "x").data
    assert read == value
    assert type(read) is type(value)


def test_lines_are_those_of_the_keys_and_items() -> None:
    document = read_yaml("# comment\na: 1\nb:\n  c:\n    - x\n    - d: 2\n      e: {f: 3}\n", "x")
    assert document.lines[("a",)] == 2
    assert document.lines[("b", "c")] == 4
    assert document.lines[("b", "c", 0)] == 5
    assert document.lines[("b", "c", 1, "d")] == 6
    assert document.lines[("b", "c", 1, "e", "f")] == 7


def test_aliases_and_merges_are_resolved_and_own_keys_win() -> None:
    text = "fit: &fit {epochs: 3, seed: 1}\nother: &other {seed: 9, batch_size: 8}\na: *fit\nb:\n  <<: [*fit, *other]\n  epochs: 5\n"
    data = read_yaml(text, "x").data
    assert isinstance(data, dict)
    assert data["a"] == {"epochs": 3, "seed": 1}
    assert data["b"] == {"epochs": 5, "seed": 1, "batch_size": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x:3: the key 'a' stands here a second time; the first is in line 1"),
        ("a: {b: 1, b: 2}", "x:1: the key 'b' stands here a second time; the first is in line 1"),
        ("a:\n\t- 1\n", "x:2:1: broken YAML, found character '\\t' that cannot start any token"),
        ("a: [1, 2", "x:1:9: broken YAML, expected ',' or ']', but got '<stream end>'"),
        ("a: 'x", "x:1:6: broken YAML, found unexpected end of stream"),
        ("a: b: c", "x:1:5: broken YAML, mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "x:2:1: broken YAML, but found another document"),
        ("a: *nowhere", "x:1:4: broken YAML, found undefined alias 'nowhere'"),
        ("a: &loop [*loop]", "x:1: an alias contains itself"),
        ("1: a", "x:1: a key must be text, not '1'; quote it"),
        ("? [a, b]\n: c", "x:1: a key must be text, not a list or mapping; quote it"),
        ('a: "\\ud800"', "x:1: '\\ud800' is not a valid str"),
        ("a: " + "9" * 5000, "x:1: '9999"),
        ("a: !!python/object/apply:os.system [ls]", "x:1: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed"),
        ("a: !secret x", "x:1: the tag !secret is not allowed"),
        ("a: !!int x", "x:1: 'x' is not a valid int"),
        ("a: -.inf", "x:1: a: must be a finite number"),
        ("a: .NaN", "x:1: a: must be a finite number"),
        ("a: 1e999", "x:1: a: must be a finite number"),
        ("a: !!set {b}", "x:1: the tag tag:yaml.org,2002:set is not allowed"),
        ("a: {<<: 3}", "x:1: << takes a mapping, or a list of mappings"),
        ("a: \x07", "x: broken YAML, unacceptable character #x0007"),
        ("[" * 600, "x: broken YAML, it is nested too deeply"),
        (
            "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
            "x: holds more than 20000 values, aliases counted; that is no configuration",
        ),
    ],
)
def test_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "x")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
