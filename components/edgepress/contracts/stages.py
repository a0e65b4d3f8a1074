"""The stages that a recipe may apply: the settings of each, and ``STAGES``, where each is declared.

Recipes' keys, the names in records, the loop of the pipeline, the plan of a run and its caching follow from that declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import Fraction, PositiveInt, TrainSettings


class DistillSettings(StrictModel):
    """Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531).

    Classification: loss = alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * cross-entropy(labels, student).
    Any other task: loss = alpha * mean squared difference(teacher, student) + (1 - alpha) * the task's loss(labels, student).

    Attributes:
        teacher: only the baseline teaches.
        student: the architecture to train, ending as the baseline does (a softmax, a sigmoid); None distils into a fresh copy of the
            baseline's.
        temperature: T above, which softens both distributions; plays no part where there are none.
        alpha: weight of the teacher's part.
    """

    teacher: Literal["baseline"] = "baseline"
    student: ModelChoice | None = None
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 4.0
    alpha: Fraction = 0.7
    train: TrainSettings = TrainSettings()


class PruneSettings(StrictModel):
    """Magnitude pruning on a schedule (Zhu, Gupta 2017, arXiv:1710.01878).

    Attributes:
        schedule: ``polynomial`` rises from initial to final sparsity with the cube law; ``constant`` holds the final one.
        initial_sparsity: share of zero weights when pruning begins; only for ``polynomial``.
        final_sparsity: share of zero weights at the end.
        begin_step, end_step: training steps between which sparsity rises; ``end_step`` None is two thirds of all steps,
            so that the last third recovers accuracy at the final sparsity.
        frequency: steps between two updates of the masks.
        skip_layers: names of layers that stay dense. A first convolution and the last layer hold few weights, and lose most by pruning.
    """

    schedule: Literal["polynomial", "constant"] = "polynomial"
    initial_sparsity: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    final_sparsity: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    begin_step: Annotated[int, Field(ge=0)] = 0
    end_step: PositiveInt | None = None
    frequency: PositiveInt = 20
    skip_layers: tuple[str, ...] = ()
    train: TrainSettings = TrainSettings(epochs=4)

    @model_validator(mode="after")
    def _sparsity_rises(self) -> "PruneSettings":
        if self.schedule == "polynomial" and self.initial_sparsity > self.final_sparsity:
            raise ValueError(f"initial_sparsity {self.initial_sparsity} is above final_sparsity {self.final_sparsity}")
        if self.schedule == "constant" and self.initial_sparsity != 0.0:
            raise ValueError("initial_sparsity belongs to schedule polynomial; constant holds final_sparsity from begin_step on")
        if self.end_step is not None and self.end_step <= self.begin_step:
            raise ValueError(f"end_step {self.end_step} is not after begin_step {self.begin_step}")
        return self


class ClusterSettings(StrictModel):
    """Weight clustering with k-means++ centroids (Han, Mao, Dally 2016, arXiv:1510.00149).

    Attributes:
        number_of_clusters: distinct values left in each clustered layer's kernel.
        cluster_centroids_init: how the centroids start.
    Sparsity of an earlier prune stage is always preserved.
    """

    number_of_clusters: Annotated[int, Field(ge=2, le=256)] = 16
    cluster_centroids_init: Literal["kmeans_plus_plus"] = "kmeans_plus_plus"
    train: TrainSettings = TrainSettings(epochs=2, learning_rate=1e-4)


Granularity = Literal["per_channel", "per_tensor"]


class QuantizeSettings(StrictModel):
    """Quantization-aware training to 8 bits (Jacob et al. 2018, arXiv:1712.05877).

    Sparsity and clusters of earlier stages are preserved: the scheme follows from the candidate's trace.

    Attributes:
        num_bits: of weights and activations.
        granularity: ``per_channel`` gives each channel of a convolution its own scale; ``per_tensor`` one to the whole kernel, so that
            each cluster of an earlier cluster stage is stored as one integer and the file packs better. Depthwise kernels always
            have one a channel.
    """

    num_bits: Literal[8] = 8
    granularity: Granularity = "per_channel"
    train: TrainSettings = TrainSettings(epochs=2, learning_rate=1e-4)


class RepresentativeDataset(StrictModel):
    """Examples that calibrate activation ranges: a seeded draw from the training split, of classes by their share."""

    samples: Annotated[int, Field(ge=1, le=100_000)] = 200
    seed: int = 0


class ConvertSettings(StrictModel):
    """How the Keras model becomes a ``.tflite`` file.

    Attributes:
        quantization: ``float32``, ``float16`` weights, ``dynamic_range`` int8 weights, or full ``int8``.
        io: type of the output tensor and of inputs that are real numbers; ``int8`` only with ``quantization: int8``. Inputs that are whole
            numbers stay as the dataset has them.
        granularity: of int8 weights' scales, ``per_channel`` or ``per_tensor``; after a quantize stage its granularity holds.
        representative_dataset: used by ``int8`` without a quantize stage; ignored otherwise.
    """

    quantization: Literal["float32", "float16", "dynamic_range", "int8"] = "float32"
    io: Literal["float32", "int8"] = "float32"
    granularity: Granularity = "per_channel"
    representative_dataset: RepresentativeDataset = RepresentativeDataset()

    @model_validator(mode="after")
    def _integer_io_needs_integer_model(self) -> "ConvertSettings":
        if self.io == "int8" and self.quantization != "int8":
            raise ValueError(f"io int8 needs quantization int8, not {self.quantization}")
        return self


@dataclass(frozen=True)
class Stage:
    """One stage: this declaration and its room are all that there is of it.

    Attributes:
        name: in recipes, records and tables, of its task and of its component; an identifier.
        settings: what a recipe may say of it.
        room: the package with its ``step``, and with its KFP declaration in ``component``.
        always: a recipe that does not name it applies it with its default settings, where any other stage would be left out.
        refuses: from all settings of a recipe that applies it, by stage, to one sentence on why they do not go together, or None.
    """

    name: str
    settings: type[StrictModel]
    room: str
    always: bool = False
    refuses: Callable[[Mapping[str, Any]], str | None] = lambda recipe: None  # noqa: ARG005

    @property
    def trains(self) -> bool:
        """Whether it fine-tunes: it then has settings of training, keeps checkpoints and tells how good its model is."""
        return "train" in self.settings.model_fields


def _float_after_quantize(recipe: Mapping[str, Any]) -> str | None:
    quantization = recipe["convert"].quantization
    if quantization == "int8":
        return None
    return f"quantize trains for int8, but convert.quantization is {quantization}; set it to int8 or drop quantize"


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("distill", DistillSettings, room="edgepress.compress.distill"),
        Stage("prune", PruneSettings, room="edgepress.compress.prune"),
        Stage("cluster", ClusterSettings, room="edgepress.compress.cluster"),
        Stage("quantize", QuantizeSettings, room="edgepress.compress.quantize", refuses=_float_after_quantize),
        Stage("convert", ConvertSettings, room="edgepress.convert", always=True),
    )
}
"""Name -> stage, in the order in which every recipe goes through them."""
