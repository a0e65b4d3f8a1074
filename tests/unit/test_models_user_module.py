"""Loading a user's module: every mistake is told with its file and line."""

import sys
from pathlib import Path

import pytest

from edgepress.errors import ModelError
from edgepress.models.user_module import OPTIONAL_HOOKS, load_user_module

GOOD = "def build_model(input_shape, num_classes, **params):\n    return (input_shape, num_classes, params)\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "module.py"
    path.write_text(text)
    return path


def test_an_absent_file_is_no_module(tmp_path: Path) -> None:
    assert load_user_module(tmp_path / "module.py") is None


def test_a_module_with_build_model_alone_has_no_hooks(tmp_path: Path) -> None:
    module = load_user_module(write(tmp_path, GOOD))
    assert module is not None
    assert module.call("build_model", (8, 8, 1), 10, width=4) == ((8, 8, 1), 10, {"width": 4})
    assert all(getattr(module, hook) is None for hook in OPTIONAL_HOOKS)
    assert module.call_custom_objects() == {}
    assert module.call_metrics() == []


def test_all_hooks_are_found(tmp_path: Path) -> None:
    text = GOOD + "".join(f"def {hook}(*args):\n    return {{}}\n" for hook in OPTIONAL_HOOKS)
    module = load_user_module(write(tmp_path, text))
    assert module is not None
    assert all(callable(getattr(module, hook)) for hook in OPTIONAL_HOOKS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def build_model(:\n", "my/module.py:1: is not valid Python: invalid syntax"),
        ("import math\nmath.nothing\n" + GOOD, "my/module.py:2: the module cannot be imported: AttributeError"),
        ("import not_installed_anywhere\n", "my/module.py:1: the module cannot be imported: ModuleNotFoundError"),
        ("def build():\n    pass\n", "my/module.py:1: defines no build_model(input_shape, num_classes, **params)"),
        ("build_model = 3\n", "my/module.py:1: defines no build_model"),
        (GOOD + "loss = 'mse'\n", "my/module.py:1: loss must be a function, not str"),
    ],
)
def test_a_broken_module_names_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ModelError) as raised:
        load_user_module(write(tmp_path, text), shown_as="my/module.py")
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


def test_a_failing_hook_names_the_innermost_line_of_the_users_file(tmp_path: Path) -> None:
    text = "import json\ndef build_model(shape, n):\n    return deeper()\ndef deeper():\n    return json.loads('{')\n"
    module = load_user_module(write(tmp_path, text), shown_as="my/module.py")
    assert module is not None
    with pytest.raises(ModelError, match=r"^my/module\.py:5: build_model failed: JSONDecodeError"):
        module.call("build_model", (1,), 2)


def test_an_unknown_parameter_is_told(tmp_path: Path) -> None:
    module = load_user_module(write(tmp_path, "def build_model(shape, n):\n    return 1\n"))
    assert module is not None
    with pytest.raises(ModelError, match=r"module\.py:1: build_model failed: TypeError: .*unexpected keyword argument 'width'"):
        module.call("build_model", (1,), 2, width=3)


@pytest.mark.parametrize(
    ("hook", "call", "expected"),
    [("custom_objects", "call_custom_objects", "must return a dict"), ("metrics", "call_metrics", "must return a list")],
)
def test_a_hook_that_returns_the_wrong_thing_is_told(tmp_path: Path, hook: str, call: str, expected: str) -> None:
    module = load_user_module(write(tmp_path, GOOD + f"def {hook}():\n    return 3\n"))
    with pytest.raises(ModelError, match=f"{hook} {expected}"):
        getattr(module, call)()


def test_bytes_that_are_not_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="is not UTF-8 text"):
        load_user_module(path)


def test_loading_leaves_no_trace_in_imported_modules(tmp_path: Path) -> None:
    before = set(sys.modules)
    load_user_module(write(tmp_path, GOOD))
    assert set(sys.modules) == before
