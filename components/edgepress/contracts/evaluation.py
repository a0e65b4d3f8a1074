"""What was measured of one artifact on one split. The evaluation directory:

evaluation.json     the record below
outputs.npy         float32 [n, *output shape], what the model gave for each example, in the split's order; absent when the candidate failed
scores.npy          float64 [n], the task's score of each example; likewise

Nothing here compares: a comparison with the baseline, or any other reference, is made from two such directories.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edgepress.contracts.candidate import ArtifactKind, Failure
from edgepress.contracts.dataset import SplitName
from edgepress.contracts.digest import Digest
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.strict import StrictModel
from edgepress.contracts.training import Fraction
from edgepress.errors import IntegrityError, one_line
from edgepress.tasks.comparisons import LOSS_OF
from edgepress.tasks.observations import OutputMeaning
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import Scored, TaskName

EVALUATION_NAME = "evaluation.json"
OUTPUTS_NAME = "outputs.npy"
SCORES_NAME = "scores.npy"

Count = Annotated[int, Field(ge=0)]


class SliceMetrics(StrictModel):
    """The task's selecting metric on the examples that share one value of a slice column; None where they cannot tell."""

    count: Count
    value: float | None


class LayerWeights(StrictModel):
    """One kernel (weight tensor other than a bias) as it stands in the shipped file: what compression really delivered.

    Attributes:
        tensor: its name in the file.
        op: the operator that computes with it, e.g. ``CONV_2D``, also where DEQUANTIZE stands between.
        dtype: as stored, e.g. ``int8``.
        elements: number of weights.
        sparsity: share of exact zeros (of the zero point, for quantized tensors).
        distinct_values: number of different stored values; per-channel scales are not applied.
    """

    tensor: str
    op: str
    dtype: str
    elements: Count
    sparsity: Fraction
    distinct_values: Count


class Evaluation(StrictModel):
    """What ``evaluation.json`` holds. With ``failure`` set nothing was measured and everything optional is None or empty.

    Attributes:
        artifact: which of the candidate's artifacts was measured.
        split_digest: of the examples and labels, the same for every dataset that holds this very split.
        model_digest: of the artifact.
        runtime: e.g. ``litert 2.3.0``.
        examples: how many were measured.
        meaning: of the raw outputs.
        metrics: of the examples and of the file, by name.
        slices: column -> value -> metrics.
        labels: names of the classes or targets.
        confusion: of a classification, counts as [label][predicted].
        layers: the kernels of a ``.tflite`` file.
    """

    schema_version: Literal[2] = 2
    recipe: str
    artifact: ArtifactKind
    task: TaskName
    split: SplitName
    dataset_digest: Digest
    split_digest: Digest
    failure: Failure | None = None
    model_digest: Digest | None = None
    runtime: str | None = None
    examples: Annotated[int, Field(ge=1)] | None = None
    meaning: OutputMeaning | None = None
    metrics: Metrics = {}
    slices: dict[str, dict[str, SliceMetrics]] = {}
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[Count, ...], ...] = ()
    layers: tuple[LayerWeights, ...] = ()

    @model_validator(mode="after")
    def _slices_are_within_the_metrics_bounds(self) -> "Evaluation":
        metric = TASKS[self.task].selecting
        for column, values in self.slices.items():
            for name, measured in values.items():
                if measured.value is not None and not metric.can_be(measured.value):
                    raise ValueError(f"{metric.name} where {column} is {name!r}: cannot be {measured.value}")
        return self


@dataclass(frozen=True)
class OpenedEvaluation:
    """An evaluation with what it kept of each example; None when it failed."""

    record: Evaluation
    scored: Scored | None


def read_evaluation(directory: Path) -> Evaluation:
    """Read an evaluation directory's record.

    Raises:
        IntegrityError: there is no valid record.
    """
    path = directory / EVALUATION_NAME
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror}); evaluate again") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {one_line(first['msg'])}" if where else one_line(first["msg"])
        raise IntegrityError(f"{path}: is not an evaluation record of schema version 2 ({said}); evaluate again") from error


def open_evaluation(directory: Path) -> OpenedEvaluation:
    """Read an evaluation directory whole; arrays are mapped, not read.

    Raises:
        IntegrityError: a file is missing or damaged, or the arrays do not have one entry an example each.
    """
    record = read_evaluation(directory)
    if record.failure is not None or record.meaning is None:
        return OpenedEvaluation(record, None)
    outputs, scores = (_map(directory / name) for name in (OUTPUTS_NAME, SCORES_NAME))
    if outputs.dtype != np.float32 or scores.dtype != np.float64 or scores.shape != outputs.shape[:1]:
        raise IntegrityError(f"{directory}: its outputs and scores do not belong together; evaluate again")
    return OpenedEvaluation(record, Scored(outputs, record.meaning, scores))


def compare(evaluation: OpenedEvaluation, reference: OpenedEvaluation) -> Metrics:
    """What changes beside a reference on the same examples, by metric: the task's comparisons, and what was lost of its selecting metric.

    Empty when either failed.

    Raises:
        IntegrityError: the two are not of the same examples.
    """
    own, other = evaluation.record, reference.record
    if (own.task, own.split, own.split_digest) != (other.task, other.split, other.split_digest):
        raise IntegrityError(
            f"{own.recipe} was evaluated on {own.split} examples {own.split_digest}, {other.recipe} on {other.split} examples "
            f"{other.split_digest}; evaluate both on the same"
        )
    if evaluation.scored is None or reference.scored is None:
        return {}
    if evaluation.scored.outputs.shape[0] != reference.scored.outputs.shape[0]:
        raise IntegrityError(f"the outputs of {own.recipe} and {other.recipe} are not of as many examples; evaluate again")
    task = TASKS[own.task]
    compared: Metrics = dict(task.compare(evaluation.scored, reference.scored))
    values = (own.metrics.get(task.selecting.name), other.metrics.get(task.selecting.name))
    if values[0] is not None and values[1] is not None:
        compared[LOSS_OF[task.selecting.name].name] = task.selecting.loss(values[0], values[1])
    return compared


def _map(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise IntegrityError(f"{path}: is not a readable .npy file; evaluate again") from error
    return array
