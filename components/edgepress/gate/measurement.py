"""What was measured of each candidate, brought together by recipe and bound to one file and one dataset.

A number counts only for the very file that is offered: the digest of the ``.tflite`` found, the candidate record's, the evaluation's and
the benchmark's must be one, and so must the dataset digests. Whatever does not fit is a *fault*, a sentence that bars the candidate.
Records are matched by the recipe's name inside them, never by their position.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgepress.contracts.candidate import BASELINE, CandidateRecord, Failure
from edgepress.contracts.dataset import SplitName
from edgepress.contracts.evaluation import Evaluation
from edgepress.contracts.latency import Benchmark, Latency
from edgepress.contracts.verdict import Metrics


@dataclass(frozen=True)
class FoundModel:
    """A candidate's record, and the digest of the ``.tflite`` beside it as it is now; None when there is none."""

    record: CandidateRecord
    tflite_digest: str | None


@dataclass(frozen=True)
class Measurement:
    """One model, ready to be compared.

    Attributes:
        recipe: its name, or ``baseline``.
        model_digest: of its ``.tflite`` as found; None when there is none.
        failure: why its recipe went no further.
        faults: why its numbers do not count, a sentence each.
        metrics: empty when its recipe failed or the numbers do not belong to the file.
    """

    recipe: str
    model_digest: str | None
    failure: Failure | None
    faults: tuple[str, ...]
    metrics: Metrics


def measure_baseline(model: FoundModel, evaluation: Evaluation, benchmark: Benchmark, split: SplitName) -> Measurement:
    """The baseline's measurement on one split."""
    return _measure(BASELINE, [model], [evaluation], benchmark, split, model.record.dataset_digest, evaluation)


def measure_candidates(
    models: Sequence[FoundModel],
    evaluations: Sequence[Evaluation],
    benchmark: Benchmark,
    baseline_evaluation: Evaluation,
    *,
    split: SplitName,
    dataset_digest: str,
) -> tuple[Measurement, ...]:
    """Every recipe that any of the records names, sorted by name."""
    models_of = defaultdict(list)
    for model in models:
        models_of[model.record.recipe].append(model)
    evaluations_of = defaultdict(list)
    for evaluation in evaluations:
        evaluations_of[evaluation.recipe].append(evaluation)
    return tuple(
        _measure(recipe, models_of[recipe], evaluations_of[recipe], benchmark, split, dataset_digest, baseline_evaluation)
        for recipe in sorted(models_of.keys() | evaluations_of.keys())
    )


def _measure(
    recipe: str,
    models: Sequence[FoundModel],
    evaluations: Sequence[Evaluation],
    benchmark: Benchmark,
    split: SplitName,
    dataset_digest: str,
    baseline_evaluation: Evaluation,
) -> Measurement:
    latencies = [latency for latency in benchmark.models if latency.recipe == recipe]
    faults = list(_count_faults(recipe, models, evaluations))
    if faults:
        return Measurement(recipe=recipe, model_digest=None, failure=None, faults=tuple(faults), metrics=Metrics())
    (model,), (evaluation,) = models, evaluations
    failure = model.record.failure or evaluation.failure
    if failure is not None:
        return Measurement(recipe=recipe, model_digest=model.tflite_digest, failure=failure, faults=(), metrics=Metrics())
    faults = [*find_faults(model, evaluation, latencies, split=split, dataset_digest=dataset_digest)]
    latency = latencies[0] if latencies else None
    metrics = Metrics() if faults else Metrics.measured(evaluation.metrics, latency, baseline_evaluation.metrics)
    return Measurement(recipe=recipe, model_digest=model.tflite_digest, failure=None, faults=tuple(faults), metrics=metrics)


def _count_faults(recipe: str, models: Sequence[FoundModel], evaluations: Sequence[Evaluation]) -> Iterator[str]:
    for kind, count in (("candidate", len(models)), ("evaluation", len(evaluations))):
        if count == 0:
            yield f"{recipe} has no {kind}"
        elif count > 1:
            yield f"{recipe} has {count} {kind}s, but must have one"


def find_faults(
    model: FoundModel, evaluation: Evaluation, latencies: Sequence[Latency], *, split: SplitName, dataset_digest: str
) -> Iterator[str]:
    """Why an evaluation and a benchmark do not belong to a model, a sentence each; nothing when all is one."""
    record, found = model.record, model.tflite_digest
    if found is None:
        yield "there is no model.tflite"
    elif found != record.tflite_digest:
        yield f"model.tflite has digest {found}, but its record says {record.tflite_digest}"
    if evaluation.model_digest != found:
        yield f"the evaluation measured digest {evaluation.model_digest}, but model.tflite has digest {found}"
    if evaluation.metrics is None:
        yield "the evaluation holds no metrics"
    if evaluation.split != split:
        yield f"the evaluation is of the {evaluation.split} split, but the {split} split is needed"
    for origin, digest in (("candidate was made from", record.dataset_digest), ("evaluation used", evaluation.dataset_digest)):
        if digest != dataset_digest:
            yield f"the {origin} dataset {digest}, but this run's is {dataset_digest}"
    if len(latencies) != 1:
        yield f"the benchmark measured it {len(latencies)} times, but must once"
    for latency in latencies:
        if latency.model_digest != found:
            yield f"the benchmark measured digest {latency.model_digest}, but model.tflite has digest {found}"
