"""One artifact of a candidate, measured on one split."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import ARTIFACT_PATHS, ArtifactKind, CandidateRecord, Failure
from edgepress.contracts.dataset import DatasetDirectory, DatasetManifest, SplitName
from edgepress.contracts.evaluation import Evaluation, OpenedEvaluation
from edgepress.device.model import RunnableModel
from edgepress.errors import ModelError
from edgepress.evaluate.breakdown import confusion_counts, slice_metrics
from edgepress.evaluate.file_metrics import measure_file
from edgepress.runtimes.artifact import Artifact
from edgepress.runtimes.registry import open_artifact, runtime_version
from edgepress.tasks.observations import Observations, OutputMeaning
from edgepress.tasks.task import Scored


def measure(record: CandidateRecord, artifact: Artifact, dataset: DatasetDirectory, split: SplitName) -> OpenedEvaluation:
    """Run an artifact on every example of a split and measure what it gives.

    Raises:
        ModelError: it cannot be opened or run, does not fit the dataset, or gives NaN or infinity.
        InputError: its runtime is not installed here.
    """
    manifest, examples = dataset.manifest, dataset.split(split)
    task = manifest.learning_task
    model = open_artifact(artifact, ARTIFACT_PATHS[artifact.kind])
    meaning = _meaning(model, manifest, ARTIFACT_PATHS[artifact.kind])
    of_file, layers = measure_file(artifact)
    outputs = model.predict(examples.inputs)
    _refuse_not_finite(outputs, split)
    observed = Observations(
        labels=np.asarray(examples.labels), outputs=outputs, meaning=meaning, inputs=examples.inputs, slices=examples.slices
    )
    evaluation = Evaluation(
        recipe=record.recipe,
        artifact=artifact.kind,
        task=manifest.task,
        split=split,
        dataset_digest=manifest.digest,
        split_digest=manifest.split_digests[split],
        model_digest=artifact.digest,
        runtime=runtime_version(artifact.kind),
        examples=len(examples),
        meaning=meaning,
        metrics=task.measure(observed) | of_file,
        slices=slice_metrics(task, observed),
        labels=manifest.labels,
        confusion=confusion_counts(task, observed, len(manifest.labels)),
        layers=layers,
    )
    return OpenedEvaluation(evaluation, Scored(outputs, meaning, task.score(observed)))


def failed(record: CandidateRecord, kind: ArtifactKind, dataset: DatasetDirectory, split: SplitName, failure: Failure) -> OpenedEvaluation:
    """The evaluation of a candidate that nothing can be measured of."""
    evaluation = Evaluation(
        recipe=record.recipe,
        artifact=kind,
        task=dataset.manifest.task,
        split=split,
        dataset_digest=dataset.manifest.digest,
        split_digest=dataset.manifest.split_digests[split],
        failure=failure,
    )
    return OpenedEvaluation(evaluation, None)


def _meaning(model: RunnableModel, manifest: DatasetManifest, source: str) -> OutputMeaning:
    """What the outputs mean, by the name of the model's output."""
    shape, shapes = model.output.shape, manifest.output_shapes
    if shape not in shapes:
        wanted = " or ".join(str(list(wanted)) for wanted in shapes)
        raise ModelError(f"{source}: gives {list(shape)} for an example, but {manifest.task} on this dataset needs {wanted}")
    for meaning in manifest.learning_task.meanings:
        if meaning == model.output.name:
            return meaning
    wanted = " or ".join(manifest.learning_task.meanings)
    raise ModelError(
        f"{source}: its output is called {model.output.name}, but of {manifest.task} must be {wanted}; convert the model again"
    )


def _refuse_not_finite(outputs: NDArray[Any], split: SplitName) -> None:
    broken = np.flatnonzero(~np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1))
    if len(broken):
        raise ModelError(f"gives NaN or infinity for {len(broken)} of {len(outputs)} {split} examples, the first at index {broken[0]}")
