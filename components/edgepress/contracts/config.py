"""The pipeline's configuration: one YAML file, strict and versioned. See ``pipelines/edgepress_pipelines/configs``."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, create_model, model_validator

from edgepress.contracts.builtin_models import BuiltinModel
from edgepress.contracts.endpoint import holds_credentials
from edgepress.contracts.kubeflow import S3_URI_PATTERN, KubeflowSettings, ScheduleSettings
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.stages import STAGES
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.thresholds import thresholds_of
from edgepress.contracts.training import PositiveInt, TrainSettings
from edgepress.tasks.registry import METRICS, TASKS, metrics_of
from edgepress.tasks.task import LearningTask, SplitStrategy, TaskName

NAME_PATTERN = r"^[a-z0-9]([a-z0-9_-]{0,46}[a-z0-9])?$"
ENDPOINT_URL_PATTERN = r"^https?://[^/\s]+/?$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

BUILTIN_SOURCES: dict[str, tuple[TaskName, ...]] = {
    "digits": ("classification",),
    "fashion-mnist": ("classification",),
    "breast-cancer": ("anomaly_detection", "classification"),
    "diabetes": ("regression",),
}
"""Data that is known by its name -> the kinds of learning task it serves, the usual one first."""

RESERVED_NAMES = {"baseline": "the uncompressed model", "nominee": "the candidate that the gate chooses"}
"""Recipe names that logs, events and tables already use."""

MAX_RECIPES = 20
"""Many loop iterations with dependencies inside are fragile on Kubeflow (kubeflow/pipelines#12131)."""


Scaling = Literal["unit", "raw"]


class DatasetSettings(StrictModel):
    """Where the data comes from and how it is split.

    Attributes:
        source: ``digits``, ``fashion-mnist``, ``breast-cancer``, ``diabetes``, a ``.npz`` file, or a folder of images per class; local
            path or ``s3://``.
        task: the kind of learning task; None is a built-in source's own, and classification of anything else.
        validation_fraction, test_fraction: shares taken from a source that does not give that split.
        split: how they are taken: ``stratified`` by label, at ``random``, by whole ``group``s, or by ``time``, the latest
            for test. None is stratified, and random for a regression.
        split_by: array of a ``.npz`` source that names each example's group or time.
        scaling: of uint8 inputs, which are taken for pixels: ``unit`` divides by 255 into float32, ``raw`` hands the model uint8.
        train_examples: keep a subset of the training split of this size, stratified where there are classes; None keeps all. Never touches
            the others.
        image_size: [height, width] that images of a folder are resized to.
        slice_columns: arrays of a ``.npz`` source by which accuracy is also reported.
        seed: of the splits and the subset.
    """

    source: str
    task: TaskName | None = None
    validation_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    split: SplitStrategy | None = None
    split_by: str | None = None
    scaling: Scaling = "unit"
    train_examples: PositiveInt | None = None
    image_size: tuple[PositiveInt, PositiveInt] | None = None
    slice_columns: tuple[str, ...] = ()
    seed: int = 0

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "DatasetSettings":
        if self.validation_fraction + self.test_fraction >= 1.0:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} and test_fraction {self.test_fraction} leave nothing to train on; "
                "their sum must be below 1"
            )
        archive = self.source.endswith(".npz")
        if self.slice_columns and not archive:
            raise ValueError(f"slice_columns names arrays of a .npz file, but source is {self.source}; drop slice_columns")
        if self.image_size is not None and (archive or self.source in BUILTIN_SOURCES):
            raise ValueError(f"image_size is for a folder of images, but source is {self.source}; drop image_size")
        self._check_task()
        self._check_split(archive)
        return self

    @property
    def learning_task(self) -> LearningTask:
        """The kind of learning task, resolved."""
        return TASKS[self.task or BUILTIN_SOURCES.get(self.source, ("classification",))[0]]

    def _check_task(self) -> None:
        served = BUILTIN_SOURCES.get(self.source)
        if self.task is not None and served is not None and self.task not in served:
            raise ValueError(f"task {self.task} is not what {self.source} serves; use {' or '.join(served)}, or another source")

    def _check_split(self, archive: bool) -> None:
        task = self.learning_task
        if self.split is not None and self.split not in task.split_strategies:
            raise ValueError(f"split {self.split} does not suit a {task.title}; use one of {', '.join(task.split_strategies)}")
        needs_column = self.split in ("group", "time")
        if needs_column and (self.split_by is None or not archive):
            raise ValueError(f"split {self.split} needs split_by, an array of a .npz source with each example's {self.split}")
        if self.split_by is not None and not needs_column:
            raise ValueError("split_by says what split: group or split: time go by; set split to one of them, or drop split_by")


class BaselineSettings(StrictModel):
    """The uncompressed model that everything is compared with: exactly one of ``model``, ``module`` and ``from``.

    Attributes:
        model: a built-in architecture, with ``params`` for its builder.
        module: a Python file with ``build_model`` and optional hooks.
        from_: (``from`` in YAML) a trained ``.h5``, ``.keras`` (Keras 2) or SavedModel, at a local path or ``s3://``; adopted as it is.
        params: keyword arguments of the built-in's builder or of the module's ``build_model``.
        train: how it is trained; not used with ``from``.
    """

    model_config = ConfigDict(serialize_by_alias=True)

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
        if self.from_ is not None:
            unused = [key for key, used in (("params", self.params != {}), ("train", self.train != TrainSettings())) if used]
            if unused:
                raise ValueError(f"from adopts a model that is already trained, so {' and '.join(unused)} cannot apply; drop it")
        return self


def _fields_of_stages() -> Any:
    """A model with the fields of a recipe; mypy cannot know them, so to mypy they may be anything."""
    fields: dict[str, Any] = {
        name: (stage.settings, stage.settings()) if stage.always else (stage.settings | None, None) for name, stage in STAGES.items()
    }
    return create_model("_RecipeFields", __base__=StrictModel, recipe=(Name, ...), **fields)


_RecipeFields: Any = _fields_of_stages()


class RecipeSettings(_RecipeFields):
    """Which stages to apply, and how: a name in ``recipe``, and the settings of each of ``STAGES``, which run in that order. One left out
    passes its model through."""

    def stages(self) -> dict[str, StrictModel | None]:
        """Stage -> its settings, None where it is left out, in the order of the flow."""
        return {name: getattr(self, name) for name in STAGES}

    @model_validator(mode="after")
    def _stages_fit_together(self) -> "RecipeSettings":
        if self.recipe in RESERVED_NAMES:
            raise ValueError(f"{self.recipe} already names {RESERVED_NAMES[self.recipe]}; choose another recipe name")
        given = self.stages()
        for name, settings in given.items():
            if settings is not None and (reason := STAGES[name].refuses(given)) is not None:
                raise ValueError(reason)
        return self


class BenchmarkSettings(StrictModel):
    """The latency protocol.

    Attributes:
        warmup_invocations: per model, not counted.
        rounds: interleaved rounds; each runs every model ``invocations_per_round`` times, in an order shuffled per round.
            Percentiles are over all ``rounds * invocations_per_round`` invocations of a model: at least 200, which p95 needs;
            p99 needs 1,000 and is not reported below. The default 1,500 take half a second for a model of 0.3 ms.
        threads: of the interpreter.
        pin_to_core: keep to one core, the fastest, so that big and little cores do not mix.
        hardware_class: the name of the kind of machine measured on; None derives it from the processor.
    """

    warmup_invocations: Annotated[int, Field(ge=1)] = 50
    rounds: Annotated[int, Field(ge=3)] = 30
    invocations_per_round: Annotated[int, Field(ge=5)] = 50
    threads: Literal[1] = 1
    pin_to_core: bool = True
    hardware_class: Name | None = None

    @model_validator(mode="after")
    def _enough_for_p95(self) -> "BenchmarkSettings":
        invocations = self.rounds * self.invocations_per_round
        if invocations < 200:
            raise ValueError(
                f"rounds {self.rounds} times invocations_per_round {self.invocations_per_round} is {invocations} invocations, "
                "but a p95 needs at least 200; raise either"
            )
        return self


def _without_credentials(url: object) -> object:
    if isinstance(url, str) and holds_credentials(url):
        raise ValueError("holds a name or a password; take it out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return url


# Asked before the pattern is: what does not match a pattern is shown to the user.
EndpointUrl = Annotated[str, BeforeValidator(_without_credentials), StringConstraints(pattern=ENDPOINT_URL_PATTERN)]


class ReleaseSettings(StrictModel):
    """Where a passed bundle goes besides the run's folder.

    Attributes:
        uri: ``s3://bucket/prefix``; a run on a cluster needs it, the embedded store has a bucket of its own.
        endpoint_url: of an S3-compatible store; None starts the embedded store on loopback for the run.
            Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), never from this file.
        golden_examples: inputs of the validation split shipped with their expected outputs.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # an endpoint may hold a password, which a task's log must not tell

    uri: Annotated[str, StringConstraints(pattern=S3_URI_PATTERN)] = "s3://edgepress/releases"
    endpoint_url: EndpointUrl | None = None
    golden_examples: Annotated[int, Field(ge=1, le=1000)] = 16


class ResourceSettings(StrictModel):
    """What each engine may use.

    Attributes:
        parallelism: recipes at the same time on the local runner, where TensorFlow shares the cores between them.
        kubeflow: what pods ask for, and where a run on Kubeflow keeps its things.
    """

    parallelism: Annotated[int, Field(ge=1, le=16)] = 1
    kubeflow: KubeflowSettings = KubeflowSettings()


def _names_differ(recipes: tuple[RecipeSettings, ...]) -> tuple[RecipeSettings, ...]:
    names = [recipe.recipe for recipe in recipes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each needs a name of its own, but {', '.join(twice)} stands twice")
    return recipes


class PipelineConfig(StrictModel):
    """The whole configuration."""

    schema_version: Literal[1] = 1
    name: Name
    dataset: DatasetSettings
    baseline: BaselineSettings
    recipes: Annotated[tuple[RecipeSettings, ...], Field(min_length=1, max_length=MAX_RECIPES), AfterValidator(_names_differ)]
    gate: GateSettings
    benchmark: BenchmarkSettings = BenchmarkSettings()
    release: ReleaseSettings = ReleaseSettings()
    schedule: ScheduleSettings | None = None
    resources: ResourceSettings = ResourceSettings()

    @model_validator(mode="after")
    def _gate_fits_the_task(self) -> "PipelineConfig":
        task = self.dataset.learning_task
        known = {metric.name for metric in metrics_of(task)}
        foreign = [name for name in METRICS if name not in known and self.gate.threshold(name) is not None]
        if foreign:
            raise ValueError(f"gate.{foreign[0]}: a {task.title} has no such metric; its own are {', '.join(sorted(known))}")
        if self.gate.objective not in known:
            raise ValueError(f"gate.objective: {self.gate.objective} is no metric of a {task.title}; use one of {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _every_threshold_can_fail(self) -> "PipelineConfig":
        """Not asked of ``GateSettings``: a verdict must be readable whatever policy it was given under."""
        idle = next((threshold for threshold in thresholds_of(self.gate) if threshold.cannot_fail), None)
        if idle is not None:
            raise ValueError(f"gate.{idle.name}: {idle.bound:g} can never fail, so it demands nothing; tighten it or leave it out")
        return self
