"""What was measured of one candidate on one split. The evaluation directory:

evaluation.json     the record below
predictions.npy     int64 [n], the predicted label of each example in the split's order; absent when the candidate failed
"""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edgepress.contracts.candidate import Failure
from edgepress.contracts.dataset import SplitName
from edgepress.contracts.digest import Digest
from edgepress.contracts.strict import StrictModel
from edgepress.errors import IntegrityError

EVALUATION_NAME = "evaluation.json"
PREDICTIONS_NAME = "predictions.npy"


class SliceMetrics(StrictModel):
    """Accuracy on the examples that share one value of a slice column."""

    count: int
    accuracy: float


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
    elements: int
    sparsity: float
    distinct_values: int


class EvaluationMetrics(StrictModel):
    """Measured on one split with LiteRT.

    Attributes:
        accuracy: share of correct predictions.
        agreement: share of examples where candidate and baseline predict the same.
        regressions: examples the baseline gets right and the candidate wrong; ``corrections`` the other way round.
        size_bytes, size_gzip_bytes: of the ``.tflite`` file, raw and after gzip level 9.
        parameters: elements of all learned constants in the file: kernels, biases, and scales that were not folded away.
        macs: multiply-accumulates of one inference; None when the file holds an operator whose count is not known (recurrent, custom).
        sparsity: share of zeros over all kernels, i.e. over ``Evaluation.layers``; biases are never pruned and do not count.
    """

    accuracy: float
    agreement: float
    regressions: int
    corrections: int
    size_bytes: int
    size_gzip_bytes: int
    parameters: int
    macs: int | None
    sparsity: float


class Evaluation(StrictModel):
    """What ``evaluation.json`` holds. With ``failure`` set nothing was measured and everything optional is None.

    Attributes:
        split_digest: of the examples and labels, the same for every dataset that holds this very split.
        slices: column -> value -> metrics.
        confusion: [label][predicted] counts.
        runtime: e.g. ``litert 2.3.0``.
    """

    schema_version: Literal[1] = 1
    recipe: str
    split: SplitName
    dataset_digest: Digest
    split_digest: Digest
    failure: Failure | None = None
    model_digest: Digest | None = None
    runtime: str | None = None
    metrics: EvaluationMetrics | None = None
    slices: dict[str, dict[str, SliceMetrics]] = {}
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    layers: tuple[LayerWeights, ...] = ()


def read_evaluation(directory: Path) -> Evaluation:
    """Read an evaluation directory's record.

    Raises:
        IntegrityError: there is no valid record.
    """
    path = directory / EVALUATION_NAME
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{path}: is not an evaluation record of schema version 1; evaluate again") from error
