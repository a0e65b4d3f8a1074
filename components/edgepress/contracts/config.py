"""The pipeline's configuration: one YAML file, strict and versioned. See ``pipelines/edgepress_pipelines/configs``."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from edgepress.contracts.policy import GateSettings
from edgepress.contracts.stages import (
    BuiltinModel,
    ClusterSettings,
    ConvertSettings,
    DistillSettings,
    PruneSettings,
    QuantizeSettings,
)
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import PositiveInt, TrainSettings

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,46}[a-z0-9])?$")]

MAX_RECIPES = 20
"""Many loop iterations with dependencies inside are fragile on Kubeflow (kubeflow/pipelines#12131)."""


class DatasetSettings(StrictModel):
    """Where the data comes from and how it is split.

    Attributes:
        source: ``digits``, ``fashion-mnist``, a ``.npz`` file, or a folder of images per class; local path or ``s3://``.
        validation_fraction, test_fraction: shares taken, stratified by label, from a source that does not give that split.
        train_examples: keep a stratified subset of the training split of this size; None keeps all. Never touches the others.
        image_size: [height, width] that images of a folder are resized to.
        slice_columns: arrays of a ``.npz`` source by which accuracy is also reported.
        seed: of the splits and the subset.
    """

    source: str
    validation_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    train_examples: PositiveInt | None = None
    image_size: tuple[PositiveInt, PositiveInt] | None = None
    slice_columns: tuple[str, ...] = ()
    seed: int = 0


class BaselineSettings(StrictModel):
    """The uncompressed model that everything is compared with: exactly one of ``model``, ``module`` and ``from``.

    Attributes:
        model: a built-in architecture, with ``params`` for its builder.
        module: a Python file with ``build_model`` and optional hooks.
        from_: (``from`` in YAML) a trained ``.h5``, ``.keras`` (Keras 2) or SavedModel, local path or ``s3://``; adopted as it is.
        train: how it is trained; not used with ``from``.
    """

    model: BuiltinModel | None = None
    module: str | None = None
    from_: Annotated[str | None, Field(alias="from")] = None
    params: dict[str, JsonValue] = {}
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> "BaselineSettings":
        given = [key for key, value in (("model", self.model), ("module", self.module), ("from", self.from_)) if value is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of model, module, from; has {', '.join(given) or 'none'}")
        return self


class RecipeSettings(StrictModel):
    """Which stages to apply, and how. Stages run in the order of the fields; one left out passes its model through."""

    recipe: Name
    distill: DistillSettings | None = None
    prune: PruneSettings | None = None
    cluster: ClusterSettings | None = None
    quantize: QuantizeSettings | None = None
    convert: ConvertSettings = ConvertSettings()

    @model_validator(mode="after")
    def _stages_fit_together(self) -> "RecipeSettings":
        if self.recipe == "baseline":
            raise ValueError("baseline names the uncompressed model; choose another recipe name")
        if self.quantize is not None and self.convert.quantization != "int8":
            raise ValueError(
                f"quantize trains for int8, but convert.quantization is {self.convert.quantization}; set it to int8 or drop quantize"
            )
        return self


class BenchmarkSettings(StrictModel):
    """The latency protocol.

    Attributes:
        warmup_invocations: per model, not counted.
        rounds: interleaved rounds; each runs every model ``invocations_per_round`` times, in an order shuffled per round.
        threads: of the interpreter.
        hardware_class: the name of the kind of machine measured on; None derives it from the processor.
    """

    warmup_invocations: Annotated[int, Field(ge=1)] = 50
    rounds: Annotated[int, Field(ge=3)] = 30
    invocations_per_round: Annotated[int, Field(ge=5)] = 50
    threads: Literal[1] = 1
    hardware_class: Name | None = None


class ReleaseSettings(StrictModel):
    """Where a passed bundle goes besides the run's folder.

    Attributes:
        uri: ``s3://bucket/prefix``.
        endpoint_url: of an S3-compatible store; None starts the embedded store on loopback for the run.
            Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), never from this file.
        golden_examples: inputs of the test split shipped with their expected outputs.
    """

    uri: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")] = "s3://edgepress/releases"
    endpoint_url: str | None = None
    golden_examples: Annotated[int, Field(ge=1, le=1000)] = 16


class ResourceSettings(StrictModel):
    """What the local engine may use: recipes that run at the same time. TensorFlow shares the cores between them."""

    parallelism: Annotated[int, Field(ge=1, le=16)] = 1


class PipelineConfig(StrictModel):
    """The whole configuration."""

    schema_version: Literal[1] = 1
    name: Name
    dataset: DatasetSettings
    baseline: BaselineSettings
    recipes: Annotated[tuple[RecipeSettings, ...], Field(min_length=1, max_length=MAX_RECIPES)]
    gate: GateSettings
    benchmark: BenchmarkSettings = BenchmarkSettings()
    release: ReleaseSettings = ReleaseSettings()
    resources: ResourceSettings = ResourceSettings()

    @model_validator(mode="after")
    def _recipe_names_differ(self) -> "PipelineConfig":
        names = [recipe.recipe for recipe in self.recipes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"recipes named twice: {', '.join(twice)}")
        return self


