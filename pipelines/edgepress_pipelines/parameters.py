"""From a configuration to the pipeline's parameters: JSON text per stage, so that integers stay integers on their way through KFP."""

import json

from edgepress.contracts.config import PipelineConfig, RecipeSettings
from edgepress.contracts.run import RunContext
from edgepress.contracts.strict import StrictModel
from edgepress.errors import ConfigError
from edgepress_pipelines.run_inputs import PlacedInputs

STAGES = ("distill", "prune", "cluster", "quantize", "convert")
"""The stages of a recipe, in the order of the flow."""

LEFT_OUT = "null"
"""The settings of a stage that a recipe leaves out."""

MAX_PARAMETER_BYTES = 60_000
"""A task's inputs become command-line arguments, on a laptop and in a pod: larger ones fail with "Argument list too long"."""

PipelineParameters = dict[str, str | dict[str, str] | list[dict[str, str]]]


def pipeline_parameters(config: PipelineConfig, *, storage: str, inputs: PlacedInputs, fingerprint: str = "") -> PipelineParameters:
    """The arguments of ``compress_and_release`` for one run. Those about pods mean nothing to the local runner.

    Raises:
        ConfigError: the settings are too large to travel as parameters.
    """
    kubeflow = config.resources.kubeflow
    parameters: PipelineParameters = {
        "context": settings_text(RunContext(name=config.name, storage=storage)),
        "dataset": settings_text(config.dataset),
        "baseline": settings_text(inputs.baseline),
        "recipes": [recipe_item(recipe) for recipe in config.recipes],
        "benchmark_settings": settings_text(config.benchmark),
        "policy": settings_text(config.gate),
        "release_settings": settings_text(config.release),
        "module_uri": inputs.module_uri,
        "module_digest": inputs.module_digest,
        "source_digest": inputs.source_digest,
        "fingerprint": fingerprint,
        "node_selector": dict(kubeflow.node_selector),
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in kubeflow.tolerations],
        "credentials_secret": kubeflow.credentials_secret,
        "settings_config_map": kubeflow.settings_config_map,
    }
    for image, resources in (("trainer", kubeflow.trainer), ("evaluator", kubeflow.evaluator), ("releaser", kubeflow.releaser)):
        accelerator = resources.accelerator
        parameters |= {
            f"{image}_cpu": resources.cpu,
            f"{image}_memory": resources.memory,
            f"{image}_accelerator": accelerator.type if accelerator is not None else "",
            f"{image}_accelerator_count": str(accelerator.count) if accelerator is not None else "0",
        }
    size_bytes = len(json.dumps(parameters).encode())
    if size_bytes > MAX_PARAMETER_BYTES:
        raise ConfigError(
            f"configuration {config.name}: its parameters take {size_bytes} bytes, more than the {MAX_PARAMETER_BYTES} that fit on a "
            "task's command line; use fewer recipes, or shorten baseline.params"
        )
    return parameters


def recipe_item(recipe: RecipeSettings) -> dict[str, str]:
    """One item of the loop over recipes: its name, and each stage's settings as JSON; ``LEFT_OUT`` for a stage left out."""
    stages = {stage: getattr(recipe, stage) for stage in STAGES}
    return {"recipe": recipe.recipe} | {stage: settings_text(value) if value is not None else LEFT_OUT for stage, value in stages.items()}


def settings_text(settings: StrictModel) -> str:
    """Settings as compact JSON with their aliases, as the steps read them."""
    return settings.model_dump_json(by_alias=True)
