"""The compiled pipeline: sound by a strict reader, equal to its golden file, and still one pipeline for every configuration."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.contracts.digest import digest_file
from edgepress.errors import ConfigError, InputError
from edgepress_pipelines.compile import compile_pipeline
from edgepress_pipelines.config_file import load_config
from tests.pipelines.compiled_pipeline import findings

CONFIGS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs"
GOLDENS = Path(__file__).parent / "goldens"
UPDATE_VARIABLE = "EDGEPRESS_UPDATE_GOLDENS"


def compiled(config: Path, folder: Path) -> dict[str, Any]:
    output = folder / "pipeline.yaml"
    compile_pipeline(load_config(config), output)
    first, *_ = yaml.safe_load_all(output.read_text())
    assert isinstance(first, dict)
    return first


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
def test_compiled_pipeline_is_sound(name: str, tmp_path: Path) -> None:
    assert findings(compiled(CONFIGS / f"{name}.yaml", tmp_path)) == []


def test_compiled_pipeline_is_the_golden_one(tmp_path: Path) -> None:
    spec = compiled(CONFIGS / "digits.yaml", tmp_path)
    # The defaults are digits.yaml's own; what the golden file keeps still is the graph.
    for parameter in spec["root"]["inputDefinitions"]["parameters"].values():
        parameter.pop("defaultValue", None)
    golden = GOLDENS / "compress_and_release.yaml"
    text = yaml.safe_dump(spec, sort_keys=True, width=140)
    if os.environ.get(UPDATE_VARIABLE) == "1":
        golden.write_text(text)
    assert text == golden.read_text(), f"the graph changed; if it should, run again with {UPDATE_VARIABLE}=1 and read the difference"


def test_two_configurations_compile_to_the_same_graph(tmp_path: Path) -> None:
    specs = []
    for name in ("digits", "fashion-mnist"):
        folder = tmp_path / name
        folder.mkdir()
        spec = compiled(CONFIGS / f"{name}.yaml", folder)
        for task in spec["root"]["dag"]["tasks"].values():
            task.pop("iteratorPolicy", None)  # recipes at a time: KFP fixes it at compile time
        specs.append((spec["components"], spec["deploymentSpec"], spec["root"]["dag"]))
    assert specs[0] == specs[1]


def test_recipes_are_a_parameter_with_the_stages_as_text(tmp_path: Path) -> None:
    spec = compiled(CONFIGS / "digits.yaml", tmp_path)
    recipes = spec["root"]["inputDefinitions"]["parameters"]["recipes"]
    assert recipes["parameterType"] == "LIST"
    assert [item["recipe"] for item in recipes["defaultValue"]] == [
        recipe.recipe for recipe in load_config(CONFIGS / "digits.yaml").recipes
    ]
    assert all(isinstance(value, str) for item in recipes["defaultValue"] for value in item.values())


def _remove(spec: dict[str, Any], task: str) -> None:
    del spec["root"]["dag"]["tasks"][task]


def _rename_output(spec: dict[str, Any], task: str) -> None:
    outputs = spec["components"][spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]]["outputDefinitions"]["artifacts"]
    outputs["renamed"] = outputs.pop(next(iter(outputs)))


def _install_at_start(spec: dict[str, Any], task: str) -> None:
    executor = spec["deploymentSpec"]["executors"][spec["components"][f"comp-{task}"]["executorLabel"]]
    executor["container"]["command"].append("python3 -m pip install edgepress")


@pytest.mark.parametrize(
    ("damage", "task", "finding"),
    [
        (_remove, "train", "which is no task here"),
        (_rename_output, "benchmark", "which it does not give"),
        (_install_at_start, "judge", "installs packages when it starts"),
    ],
)
def test_reader_sees_damage(damage: Any, task: str, finding: str, tmp_path: Path) -> None:
    spec = compiled(CONFIGS / "digits.yaml", tmp_path)
    damage(spec, task)
    assert any(finding in text for text in findings(spec))


def test_settings_too_large_for_a_command_line_are_refused(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "digits.yaml")
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"params": {"hidden": "x" * 70_000}})})
    with pytest.raises(ConfigError, match="bytes"):
        compile_pipeline(config, tmp_path / "pipeline.yaml")
    assert not (tmp_path / "pipeline.yaml").exists()


def test_a_module_of_any_size_travels_by_its_digest(tmp_path: Path) -> None:
    module = tmp_path / "model.py"
    module.write_text("# " + "x" * 200_000)
    config = load_config(CONFIGS / "digits.yaml")
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"model": None, "module": str(module)})})
    compile_pipeline(config, tmp_path / "pipeline.yaml")
    spec, *_ = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    digest = digest_file(module)
    assert parameters["module_digest"]["defaultValue"] == digest
    assert parameters["module_uri"]["defaultValue"].endswith(f"/inputs/{digest.removeprefix('sha256:')}/model.py")


@pytest.mark.parametrize("output", ["pipeline.json", "missing/pipeline.yaml"])
def test_output_that_cannot_be_written_is_wrong_input(output: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=output):
        compile_pipeline(load_config(CONFIGS / "digits.yaml"), tmp_path / output)
    assert list(tmp_path.iterdir()) == []
