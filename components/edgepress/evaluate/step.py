"""The steps ``evaluate`` (train or validation data) and ``evaluate_test`` (test data): one artifact measured on one split."""

from pathlib import Path

import numpy as np

from edgepress.contracts.candidate import BASELINE, ArtifactKind, CandidateRecord, Failure, read_candidate
from edgepress.contracts.dataset import DatasetAddress, DatasetDirectory, SplitName
from edgepress.contracts.evaluation import EVALUATION_NAME, OUTPUTS_NAME, SCORES_NAME, Evaluation, OpenedEvaluation
from edgepress.contracts.json_file import write_json
from edgepress.device.files import new_directory
from edgepress.errors import InputError, IntegrityError, ModelError
from edgepress.runtimes.artifact import artifact_kind, read_recorded
from edgepress.storage.dataset import fetch_dataset
from edgepress.task import task, tell_candidate_failed

NOMINEE = "nominee"
"""Stands for the recipe that the gate nominated, whichever it is: known only inside the candidate."""


@task("evaluate")
def evaluate(*, recipe: str, artifact: str = "tflite", candidate: Path, dataset: DatasetAddress, split: str, output: Path) -> None:
    """Measure one artifact of a candidate on training or validation data.

    A candidate that failed, cannot be opened or gives NaN or infinity yields an evaluation with the failure in it.

    Args:
        recipe: of the candidate, or nominee for whichever one was nominated.
        artifact: tflite or saved_model.
        candidate: candidate directory, after convert.
        dataset: dataset directory, or its address in an object store.
        split: train or validation.
        output: evaluation directory to write.
    """
    if split not in ("train", "validation"):
        raise InputError(f"split: {split} is neither train nor validation; test data is for evaluate_test")
    _evaluate(recipe, artifact, candidate, dataset, "train" if split == "train" else "validation", output)


@task("evaluate_test")
def evaluate_test(*, recipe: str, artifact: str = "tflite", candidate: Path, dataset: DatasetAddress, output: Path) -> None:
    """Measure one artifact of a candidate on test data: for the baseline and the nominee, once.

    Args:
        recipe: of the candidate, or nominee for whichever one was nominated.
        artifact: tflite or saved_model.
        candidate: candidate directory, after convert.
        dataset: dataset directory, or its address in an object store.
        output: evaluation directory to write.
    """
    _evaluate(recipe, artifact, candidate, dataset, "test", output)


def _evaluate(recipe: str, artifact: str, candidate: Path, dataset: DatasetAddress, split: SplitName, output: Path) -> None:
    kind = artifact_kind(artifact)
    record = read_candidate(candidate)
    if recipe not in (record.recipe, NOMINEE):
        raise InputError(f"recipe: is {recipe}, but {candidate} was made by recipe {record.recipe}; name that one")
    opened = fetch_dataset(dataset)
    if record.dataset_digest != opened.manifest.digest:
        raise IntegrityError(
            f"{candidate}: was made from dataset {record.dataset_digest}, but {dataset} is {opened.manifest.digest}; "
            "evaluate it on the dataset that it was made from"
        )
    evaluation = _measure(record, candidate, kind, opened, split)
    with new_directory(output) as directory:
        if evaluation.scored is not None:
            np.save(directory / OUTPUTS_NAME, evaluation.scored.outputs, allow_pickle=False)
            np.save(directory / SCORES_NAME, evaluation.scored.scores, allow_pickle=False)
        write_json(directory / EVALUATION_NAME, evaluation.record)
    print(_summarise(evaluation.record, opened))


def _measure(record: CandidateRecord, candidate: Path, kind: ArtifactKind, dataset: DatasetDirectory, split: SplitName) -> OpenedEvaluation:
    from edgepress.evaluate.measurement import failed, measure

    if record.failure is not None:
        return failed(record, kind, dataset, split, record.failure)
    artifact = read_recorded(candidate, record, kind)
    try:
        return measure(record, artifact, dataset, split)
    except ModelError as error:
        if record.recipe == BASELINE:  # nothing can be compared without it
            raise ModelError(f"the baseline: {error}; repair the model before compressing it") from error
        tell_candidate_failed(str(error))
        return failed(record, kind, dataset, split, Failure(stage="evaluate", reason=str(error)))


def _summarise(evaluation: Evaluation, dataset: DatasetDirectory) -> str:
    if evaluation.failure is not None:
        return f"{evaluation.recipe}: failed at {evaluation.failure.stage}: {evaluation.failure.reason}"
    selecting = dataset.manifest.learning_task.selecting
    value = evaluation.metrics[selecting.name]
    shown = "cannot be told" if value is None else f"{value:.4f}"
    return f"{evaluation.recipe}: {selecting.title} {shown} on {dataset.manifest.counts[evaluation.split]} {evaluation.split} examples"
