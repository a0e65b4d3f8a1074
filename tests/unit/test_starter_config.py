"""The starter's configuration: every key that a classifier can have stands in it, works, and has the value that its comment claims."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from edgepress.contracts.config import PipelineConfig
from edgepress.tasks.registry import METRICS, TASKS, metrics_of
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.config.starter import write_starter

COMMENTED_KEY = re.compile(r"^( *)# ( *(?:- )?[a-z0-9_]+:(?: .*)?)$", re.MULTILINE)
ALTERNATIVES = re.compile(r"^  (model|from|image_size|slice_columns|split_by): .*\n", re.MULTILINE)
"""Lines that exclude another one, or are for another source."""
EXAMPLE = re.compile(r":( +#.*)?$|# an example|left out")
"""Says of a commented line that its value is not the default, or that it has none."""
EXAMPLES_BY_THEIR_PLACE = {
    *("recipe", "student", "train", "convert"),  # of recipes that are examples
    *METRICS,  # a comment above says so, of these and the next
    *("model", "from", "endpoint_url"),
    *("service_account", "tolerations", "labels", "data_volume"),
}
OF_OTHER_TASKS = {
    f"GateSettings.{name}"
    for name in METRICS
    if METRICS[name] not in metrics_of(TASKS["classification"]) or name in ("output_difference", "mean_absolute_error_rise", "auc_drop")
}
"""Keys that have no place in the configuration of a classifier."""


def starter(folder: Path) -> str:
    """The text of the starter's configuration."""
    write_starter(folder)
    return (folder / "config.yaml").read_text()


def with_every_key(text: str) -> str:
    """The commented keys as keys."""
    return COMMENTED_KEY.sub(r"\1\2", text)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts of the configuration that a field holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def note_keys(model: type[BaseModel], node: dict[str, Any], found: dict[type[BaseModel], set[str]]) -> None:
    """Note which keys of each part of the configuration a document has, anywhere."""
    found.setdefault(model, set()).update(node)
    for name, field in model.model_fields.items():
        value = node.get(field.alias or name)
        for part in models_in(field.annotation):
            for item in value if isinstance(value, list) else [value]:
                note_keys(part, item or {}, found)


def test_every_key_of_the_configuration_is_named(tmp_path: Path) -> None:
    found: dict[type[BaseModel], set[str]] = {}
    note_keys(PipelineConfig, yaml.safe_load(with_every_key(starter(tmp_path))), found)
    absent = {
        f"{model.__name__}.{field.alias or name}"
        for model, keys in found.items()
        for name, field in model.model_fields.items()
        if (field.alias or name) not in keys
    }
    assert len(found) > 15
    assert absent == OF_OTHER_TASKS, "explain them in the starter's config.yaml"


def test_it_is_valid_and_so_are_its_commented_keys(tmp_path: Path) -> None:
    text, path = starter(tmp_path), tmp_path / "config.yaml"
    assert load_config(path).baseline.module == str(tmp_path / "model.py")
    path.write_text(ALTERNATIVES.sub("", with_every_key(text)))
    config = load_config(path)
    assert [recipe.recipe for recipe in config.recipes if recipe.distill or recipe.quantize] == ["student-int8", "clustered-int8"]
    assert config.schedule is not None
    load_config(path, ["dataset.source=s3://bucket/images", "dataset.image_size=[32,32]"])
    load_config(path, ["dataset.source=s3://bucket/data.npz", "dataset.slice_columns=[site]"])


def test_a_commented_key_has_its_default_unless_a_comment_says_otherwise(tmp_path: Path) -> None:
    """Then leaving it out again changes nothing."""
    text, path = starter(tmp_path), tmp_path / "config.yaml"
    full = ALTERNATIVES.sub("", with_every_key(text))
    path.write_text(full)
    config = load_config(path)
    checked = set()
    for commented in COMMENTED_KEY.finditer(text):
        line = f"{commented[1]}{commented[2]}\n"
        key = line.strip().removeprefix("- ").partition(":")[0]
        if EXAMPLE.search(line.rstrip()) or key in EXAMPLES_BY_THEIR_PLACE:
            continue
        assert full.count(line) == 1, line
        path.write_text(full.replace(line, ""))
        assert load_config(path) == config, line
        checked.add(key)
    assert len(checked) > 30
