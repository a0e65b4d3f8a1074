"""The steps ``evaluate`` (train or validation data) and ``evaluate_test`` (test data): one file measured on one split."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import BASELINE, TFLITE_NAME, CandidateRecord, Failure, read_candidate
from edgepress.contracts.dataset import DatasetAddress, DatasetDirectory, SplitName
from edgepress.contracts.evaluation import (
    EVALUATION_NAME,
    PREDICTIONS_NAME,
    Evaluation,
    EvaluationMetrics,
    read_evaluation,
)
from edgepress.contracts.json_file import write_json
from edgepress.device.digest import digest_bytes
from edgepress.device.files import new_directory
from edgepress.errors import InputError, IntegrityError, ModelError
from edgepress.evaluate.accuracy import accuracy, agreement, confusion, corrections, regressions, slice_accuracy
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import task, tell_candidate_failed

NOMINEE = "nominee"
"""Stands for the recipe that the gate nominated, whichever it is: known only inside the candidate."""


@task("evaluate")
def evaluate(*, recipe: str, candidate: Path, dataset: DatasetAddress, split: str, reference: Path | None, output: Path) -> None:
    """Measure a candidate's .tflite file with LiteRT on training or validation data.

    A candidate that failed, cannot be opened or gives NaN or infinity yields an evaluation with the failure in it.

    Args:
        recipe: of the candidate, or nominee for whichever one was nominated.
        candidate: candidate directory, after convert.
        dataset: dataset directory, or its address in an object store.
        split: train or validation.
        reference: the baseline's evaluation directory on the same split; left out for the baseline itself.
        output: evaluation directory to write.
    """
    if split not in ("train", "validation"):
        raise InputError(f"split: {split} is neither train nor validation; test data is for evaluate_test")
    _evaluate(recipe, candidate, dataset, "train" if split == "train" else "validation", reference, output)


@task("evaluate_test")
def evaluate_test(*, recipe: str, candidate: Path, dataset: DatasetAddress, split: str, reference: Path | None, output: Path) -> None:
    """Measure a candidate's .tflite file with LiteRT on test data: for the baseline and the nominee, once.

    Args:
        recipe: of the candidate, or nominee for whichever one was nominated.
        candidate: candidate directory, after convert.
        dataset: dataset directory, or its address in an object store.
        split: test.
        reference: the baseline's evaluation directory on the test split; left out for the baseline itself.
        output: evaluation directory to write.
    """
    if split != "test":
        raise InputError(f"split: {split} is not test; train and validation data are for evaluate")
    _evaluate(recipe, candidate, dataset, "test", reference, output)


def _evaluate(recipe: str, candidate: Path, dataset: DatasetAddress, split: SplitName, reference: Path | None, output: Path) -> None:
    record = read_candidate(candidate)
    if recipe not in (record.recipe, NOMINEE):
        raise InputError(f"recipe: is {recipe}, but {candidate} was made by recipe {record.recipe}; name that one")
    opened = fetch_dataset(dataset)
    if record.dataset_digest != opened.manifest.digest:
        raise IntegrityError(
            f"{candidate}: was made from dataset {record.dataset_digest}, but {dataset} is {opened.manifest.digest}; "
            "evaluate it on the dataset that it was made from"
        )
    if record.failure is not None:
        evaluation, predictions = _failed(record, opened, split, record.failure), None
    else:
        evaluation, predictions = _measure(record, candidate / TFLITE_NAME, opened, split, reference)
    if evaluation.failure is not None:
        print(f"{record.recipe}: failed at {evaluation.failure.stage}: {evaluation.failure.reason}")
    elif evaluation.metrics is not None:
        print(f"{record.recipe}: accuracy {evaluation.metrics.accuracy:.4f} on {opened.manifest.counts[split]} {split} examples")
    with new_directory(output) as directory:
        if predictions is not None:
            np.save(directory / PREDICTIONS_NAME, predictions, allow_pickle=False)
        write_json(directory / EVALUATION_NAME, evaluation)


def _measure(
    record: CandidateRecord, path: Path, dataset: DatasetDirectory, split: SplitName, reference: Path | None
) -> tuple[Evaluation, NDArray[np.int64] | None]:
    """The evaluation and the predictions of a candidate that has not failed so far."""
    from edgepress.evaluate.footprint import count_macs, count_parameters, gzip_size
    from edgepress.evaluate.inspect import inspect_weights, overall_sparsity
    from edgepress.tflite.flatbuffer import read_graph
    from edgepress.tflite.litert import LiteRTModel, runtime_version

    content = _read_verified(path, record)
    examples = dataset.split(split)
    classes = len(dataset.manifest.labels)
    try:
        model = LiteRTModel(content, TFLITE_NAME)
        if model.classes != classes:
            raise ModelError(f"{TFLITE_NAME}: gives {model.classes} values, but the dataset has {classes} labels")
        outputs = model.predict(examples.inputs)
        graph = read_graph(content)
        layers = inspect_weights(graph)
    except ModelError as error:
        return _fail(record, dataset, split, str(error)), None
    broken = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(broken):
        reason = f"gives NaN or infinity for {len(broken)} of {len(outputs)} {split} examples, the first at index {broken[0]}"
        return _fail(record, dataset, split, reason), None

    predictions = outputs.argmax(axis=1).astype(np.int64)
    compared = _reference_predictions(record, reference, dataset, split) if reference is not None else _own(record, predictions)
    labels = np.asarray(examples.labels)
    evaluation = Evaluation(
        recipe=record.recipe,
        split=split,
        dataset_digest=dataset.manifest.digest,
        split_digest=dataset.manifest.split_digests[split],
        model_digest=record.tflite_digest,
        runtime=runtime_version(),
        metrics=EvaluationMetrics(
            accuracy=accuracy(labels, predictions),
            agreement=agreement(predictions, compared),
            regressions=regressions(labels, predictions, compared),
            corrections=corrections(labels, predictions, compared),
            size_bytes=len(content),
            size_gzip_bytes=gzip_size(content),
            parameters=count_parameters(graph),
            macs=count_macs(graph),
            sparsity=overall_sparsity(layers),
        ),
        slices=slice_accuracy(labels, predictions, examples.slices),
        labels=dataset.manifest.labels,
        confusion=confusion(labels, predictions, classes),
        layers=layers,
    )
    return evaluation, predictions


def _read_verified(path: Path, record: CandidateRecord) -> bytes:
    """The content of the very file whose digest the record holds."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror}); convert the candidate again") from error
    digest = digest_bytes(content)
    if digest != record.tflite_digest:
        raise IntegrityError(f"{path}: has digest {digest}, but its record says {record.tflite_digest}; convert the candidate again")
    return content


def _own(record: CandidateRecord, predictions: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the baseline is compared with: itself."""
    if record.recipe != BASELINE:
        raise InputError(f"reference: {record.recipe} needs the baseline's evaluation directory; only the baseline goes without")
    return predictions


def _reference_predictions(record: CandidateRecord, reference: Path, dataset: DatasetDirectory, split: SplitName) -> NDArray[np.int64]:
    """The baseline's predictions on the same examples."""
    evaluation = read_evaluation(reference)
    found = (evaluation.recipe, evaluation.split, evaluation.dataset_digest)
    if found != (BASELINE, split, record.dataset_digest) or evaluation.failure is not None:
        raise IntegrityError(
            f"{reference}: is of {evaluation.recipe} on {evaluation.split} data of dataset {evaluation.dataset_digest}"
            f"{' and failed' if evaluation.failure is not None else ''}; give the baseline's evaluation on the same {split} data"
        )
    path = reference / PREDICTIONS_NAME
    try:
        predictions: NDArray[np.int64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: is not a readable .npy file; evaluate the baseline again") from error
    if predictions.shape != (dataset.manifest.counts[split],) or predictions.dtype != np.int64:
        raise IntegrityError(f"{path}: does not hold one prediction for each {split} example; evaluate the baseline again")
    return predictions


def _fail(record: CandidateRecord, dataset: DatasetDirectory, split: SplitName, reason: str) -> Evaluation:
    """A failed evaluation; for the baseline an error, because nothing can be compared without it."""
    if record.recipe == BASELINE:
        raise ModelError(f"the baseline: {reason}; repair the model before compressing it")
    tell_candidate_failed(reason)
    return _failed(record, dataset, split, Failure(stage="evaluate", reason=reason))


def _failed(record: CandidateRecord, dataset: DatasetDirectory, split: SplitName, failure: Failure) -> Evaluation:
    return Evaluation(
        recipe=record.recipe,
        split=split,
        dataset_digest=record.dataset_digest,
        split_digest=dataset.manifest.split_digests[split],
        failure=failure,
    )
