"""Long settings: as files below what a run takes along, the same in a folder and in an object store; short ones stay readable."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.config import MAX_RECIPES, BaselineSettings, PipelineConfig, RecipeSettings
from edgepress.contracts.stages import (
    ClusterSettings,
    ConvertSettings,
    DistillSettings,
    PruneSettings,
    QuantizeSettings,
)
from edgepress.contracts.training import TrainSettings
from edgepress.errors import IntegrityError, StorageError
from edgepress.storage import open_object, open_store
from edgepress.storage.settings import MAX_INLINE_BYTES, read_settings
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.flow.inputs import place_inputs
from edgepress_pipelines.flow.parameters import MAX_PARAMETER_BYTES, PipelineParameters, pipeline_parameters

CONFIGS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs"
LAYERS = tuple(f"block_{number}_depthwise" for number in range(300))
TRAIN = TrainSettings(epochs=123_456, learning_rate=1.2345678e-4, early_stopping_patience=123, class_weights="balanced", seed=123_456_789)


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "storage")
    request.getfixturevalue("server")
    return f"s3://team/{tmp_path.name}"


def recipe(number: int, layers: tuple[str, ...]) -> RecipeSettings:
    return RecipeSettings(
        recipe=f"recipe-{number}-{'x' * 30}",
        distill=DistillSettings(student=ModelChoice(model="mlp", params={"hidden": [len(layers), number]}), train=TRAIN),
        prune=PruneSettings(skip_layers=layers, train=TRAIN),
        cluster=ClusterSettings(train=TRAIN),
        quantize=QuantizeSettings(train=TRAIN),
        convert=ConvertSettings(quantization="int8", io="int8"),
    )


def config(layers: tuple[str, ...], **params: Any) -> PipelineConfig:
    changes = {
        "baseline": BaselineSettings(model="mlp", params=params),
        "recipes": tuple(recipe(number, layers) for number in range(MAX_RECIPES)),
    }
    return load_config(CONFIGS / "digits.yaml").model_copy(update=changes)


def parameters_of(chosen: PipelineConfig, storage: str, *, place: bool = True) -> PipelineParameters:
    return pipeline_parameters(chosen, storage=storage, inputs=place_inputs(chosen, storage), place=place)


def items(parameters: PipelineParameters) -> list[dict[str, str]]:
    recipes = parameters["recipes"]
    assert isinstance(recipes, list)
    return recipes


def test_every_task_reads_the_settings_that_were_given(storage: str) -> None:
    chosen = config(LAYERS, hidden=list(range(5_000)))
    parameters = parameters_of(chosen, storage)
    assert len(json.dumps(parameters)) < MAX_PARAMETER_BYTES
    assert str(parameters["baseline"]).startswith(f"{storage}/inputs/")
    assert BaselineSettings.model_validate_json(read_settings(str(parameters["baseline"]))) == chosen.baseline
    for item, given in zip(items(parameters), chosen.recipes, strict=True):
        assert item["prune"].startswith(f"{storage}/inputs/")
        assert PruneSettings.parse_optional(read_settings(item["prune"])) == given.prune
        assert DistillSettings.parse_optional(read_settings(item["distill"])) == given.distill
        assert ConvertSettings.model_validate_json(read_settings(item["convert"])) == given.convert
    assert read_settings("null") == "null"


def test_as_many_recipes_as_there_may_be_fit_and_stay_readable(tmp_path: Path) -> None:
    parameters = parameters_of(config(("conv_1", "logits")), str(tmp_path))
    assert MAX_PARAMETER_BYTES / 2 < len(json.dumps(parameters)) < MAX_PARAMETER_BYTES * 0.8
    texts = [text for item in items(parameters) for text in item.values()]
    assert max(len(text) for text in texts) <= MAX_INLINE_BYTES
    assert not (tmp_path / "inputs").exists()


def test_equal_settings_are_one_file_that_is_written_once(tmp_path: Path) -> None:
    first = items(parameters_of(config(LAYERS), str(tmp_path)))
    assert len({item["prune"] for item in first}) == 1
    written = Path(first[0]["prune"])
    before = written.stat().st_ino
    assert items(parameters_of(config(LAYERS), str(tmp_path))) == first
    assert written.stat().st_ino == before
    other = items(parameters_of(config((*LAYERS, "logits")), str(tmp_path)))
    assert other[0]["prune"] != first[0]["prune"]


def test_without_placing_nothing_is_written(storage: str) -> None:
    parameters = parameters_of(config(LAYERS), storage, place=False)
    assert open_store(storage)[0].list_keys(open_store(storage)[1]) == []
    with pytest.raises(StorageError):
        read_settings(items(parameters)[0]["prune"])
    assert parameters == parameters_of(config(LAYERS), storage)


def test_a_damaged_file_is_told_and_placed_anew(storage: str) -> None:
    address = items(parameters_of(config(LAYERS), storage))[0]["prune"]
    store, key = open_object(address)
    store.put_bytes(key, b"{}")
    with pytest.raises(IntegrityError, match="is not the file that was placed there"):
        read_settings(address)
    parameters_of(config(LAYERS), storage)
    assert PruneSettings.model_validate_json(read_settings(address)).skip_layers == LAYERS
