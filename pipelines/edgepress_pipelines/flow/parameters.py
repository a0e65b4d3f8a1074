"""From a configuration to the pipeline's parameters: JSON text per stage, so that integers stay integers on their way through KFP.

What a configuration may hold any amount of (parameters of a model, names of layers, columns) travels as a file when it is long; see
``edgepress.storage.settings``.
"""

import json
from collections.abc import Callable

from edgepress.contracts.config import PipelineConfig, RecipeSettings
from edgepress.contracts.run import RunContext
from edgepress.contracts.strict import StrictModel
from edgepress.errors import ConfigError
from edgepress.storage import join_uri
from edgepress.storage.settings import carry_settings, place_settings
from edgepress_pipelines.flow.inputs import INPUTS, PlacedInputs

LEFT_OUT = "null"
"""The settings of a stage that a recipe leaves out."""

MAX_PARAMETER_BYTES = 60_000
"""A task's inputs become command-line arguments, on a laptop and in a pod: larger ones fail with "Argument list too long". Recipes are at
most ``MAX_RECIPES`` with settings for each stage, of which none is long, so they fit; what has no such bound are paths."""

PipelineParameters = dict[str, str | list[dict[str, str]]]


def pipeline_parameters(
    config: PipelineConfig, *, storage: str, inputs: PlacedInputs, place: bool, fingerprint: str = ""
) -> PipelineParameters:
    """The arguments of ``compress_and_release`` for one run.

    Args:
        config: the configuration.
        storage: a working directory, or ``s3://bucket/prefix``.
        inputs: what the run takes along.
        place: also put long settings where the parameters say that they are, as a run needs.
        fingerprint: of what the run follows from; ends up beside its verdict.

    Raises:
        ConfigError: the parameters are too large.
        StorageError: the store cannot be reached or refuses.
    """
    texts: list[str] = []
    below = join_uri(storage, INPUTS)

    def carried(settings: StrictModel) -> str:
        texts.append(settings_text(settings))
        return carry_settings(texts[-1], below)

    parameters: PipelineParameters = {
        "context": settings_text(RunContext(name=config.name, storage=storage)),
        "dataset": carried(config.dataset),
        "baseline": carried(inputs.baseline),
        "recipes": [recipe_item(recipe, carried) for recipe in config.recipes],
        "benchmark_settings": settings_text(config.benchmark),
        "policy": settings_text(config.gate),
        "release_settings": settings_text(config.release),
        "module_uri": inputs.module_uri,
        "module_digest": inputs.module_digest,
        "source_digest": inputs.source_digest,
        "fingerprint": fingerprint,
    }
    size_bytes = len(json.dumps(parameters).encode())
    if size_bytes > MAX_PARAMETER_BYTES:
        raise ConfigError(
            f"configuration {config.name}: its parameters take {size_bytes} bytes, more than the {MAX_PARAMETER_BYTES} that fit on a "
            "task's command line; shorten the paths and addresses in it"
        )
    if place:
        for text in texts:
            place_settings(text, below)
    return parameters


def recipe_item(recipe: RecipeSettings, carried: Callable[[StrictModel], str]) -> dict[str, str]:
    """One item of the loop over recipes: its name, and each stage's settings as a task reads them; ``LEFT_OUT`` for a stage left out."""
    stages = recipe.stages().items()
    return {"recipe": recipe.recipe} | {stage: carried(settings) if settings is not None else LEFT_OUT for stage, settings in stages}


def settings_text(settings: StrictModel) -> str:
    """Settings as compact JSON with their aliases, as the steps read them."""
    return settings.model_dump_json(by_alias=True)
