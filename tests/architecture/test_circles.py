"""No module imports itself by way of others, not inside a function body either."""

from tests.architecture.source_tree import circles, read_modules


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = read_modules()
    found = circles({name: module.imports for name, module in modules.items()})
    assert found == [], "what two of them need belongs into a module of its own, below both"


def test_circles_of_any_length_are_found_and_nothing_else() -> None:
    imports = {
        "a": {"b", "json"},
        "b": {"c"},
        "c": {"a", "shared"},
        "shared": {"shared.low"},
        "shared.low": set(),
        "left": {"right", "shared"},
        "right": {"left"},
        "alone": {"a", "left"},
    }
    assert circles({name: frozenset(names) for name, names in imports.items()}) == [["a", "b", "c"], ["left", "right"]]
