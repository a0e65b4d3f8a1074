"""What was measured of each candidate, brought together by recipe and bound to one file and one dataset.

A number counts only for the very artifact that is offered: the digest that is found, the candidate record's, the evaluation's and
the benchmark's must be one, and so must the dataset digests. Whatever does not fit is a *fault*, a sentence that bars the candidate.
Records are matched by the recipe's name inside them, never by their position.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgepress.contracts.candidate import BASELINE, JUDGED, ArtifactKind, CandidateRecord, Failure
from edgepress.contracts.dataset import SplitName
from edgepress.contracts.evaluation import OpenedEvaluation
from edgepress.contracts.latency import Benchmark, Latency
from edgepress.contracts.measured import gather_metrics
from edgepress.contracts.metrics import Metrics
from edgepress.errors import IntegrityError
from edgepress.tasks.registry import TASKS


@dataclass(frozen=True)
class FoundModel:
    """A candidate's record, and the digest of each artifact beside it as it is now."""

    record: CandidateRecord
    artifacts: Mapping[ArtifactKind, str]

    @property
    def judged_digest(self) -> str | None:
        """Of the artifact that is judged; None when there is none."""
        return self.artifacts.get(JUDGED)


@dataclass(frozen=True)
class Measurement:
    """One model, ready to be compared.

    Attributes:
        recipe: its name, or ``baseline``.
        model_digest: of the judged artifact as found; None when there is none.
        failure: why its recipe went no further.
        faults: why its numbers do not count, a sentence each.
        metrics: empty when its recipe failed or the numbers do not belong to the file.
    """

    recipe: str
    model_digest: str | None
    failure: Failure | None
    faults: tuple[str, ...]
    metrics: Metrics


def measure_baseline(model: FoundModel, evaluation: OpenedEvaluation, benchmark: Benchmark, split: SplitName) -> Measurement:
    """The baseline's measurement on one split."""
    return _measure(BASELINE, [model], [evaluation], benchmark, split, model.record.dataset_digest, evaluation)


def measure_candidates(
    models: Sequence[FoundModel],
    evaluations: Sequence[OpenedEvaluation],
    benchmark: Benchmark,
    baseline_evaluation: OpenedEvaluation,
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
        evaluations_of[evaluation.record.recipe].append(evaluation)
    return tuple(
        _measure(recipe, models_of[recipe], evaluations_of[recipe], benchmark, split, dataset_digest, baseline_evaluation)
        for recipe in sorted(models_of.keys() | evaluations_of.keys())
    )


def _measure(
    recipe: str,
    models: Sequence[FoundModel],
    evaluations: Sequence[OpenedEvaluation],
    benchmark: Benchmark,
    split: SplitName,
    dataset_digest: str,
    baseline_evaluation: OpenedEvaluation,
) -> Measurement:
    latencies = [latency for latency in benchmark.models if latency.recipe == recipe]
    faults = list(_count_faults(recipe, models, evaluations))
    if faults:
        return Measurement(recipe=recipe, model_digest=None, failure=None, faults=tuple(faults), metrics={})
    (model,), (evaluation,) = models, evaluations
    failure = model.record.failure or evaluation.record.failure
    if failure is not None:
        return Measurement(recipe=recipe, model_digest=model.judged_digest, failure=failure, faults=(), metrics={})
    faults = list(find_faults(model, evaluation, latencies, split=split, dataset_digest=dataset_digest))
    metrics: Metrics = {}
    if not faults:
        try:
            metrics = gather_metrics(evaluation, latencies[0], baseline_evaluation)
        except IntegrityError as error:
            faults = [str(error)]
    return Measurement(recipe=recipe, model_digest=model.judged_digest, failure=None, faults=tuple(faults), metrics=metrics)


def _count_faults(recipe: str, models: Sequence[FoundModel], evaluations: Sequence[OpenedEvaluation]) -> Iterator[str]:
    for kind, count in (("candidate", len(models)), ("evaluation", len(evaluations))):
        if count == 0:
            yield f"{recipe} has no {kind}"
        elif count > 1:
            yield f"{recipe} has {count} {kind}s, but must have one"


def find_disagreements(evaluation: OpenedEvaluation) -> Iterator[str]:
    """Where an evaluation that did not fail contradicts itself, a sentence each: its figures must follow from what it kept."""
    record, scored = evaluation.record, evaluation.scored
    if not record.metrics or scored is None:
        yield "the evaluation holds no metrics"
    elif len(scored.scores) == 0 or record.examples != len(scored.scores):
        yield f"the evaluation is of {record.examples} examples, but kept {len(scored.scores)}"
    else:
        for disagreement in TASKS[record.task].find_disagreements(record.metrics, scored, record.confusion):
            yield f"the evaluation contradicts itself: {disagreement}"


def find_faults(
    model: FoundModel, evaluation: OpenedEvaluation, latencies: Sequence[Latency], *, split: SplitName, dataset_digest: str
) -> Iterator[str]:
    """Why an evaluation and a benchmark do not belong to a model, a sentence each; nothing when all is one."""
    record, measured, found = model.record, evaluation.record, model.judged_digest
    if found is None:
        yield f"there is no {JUDGED} file"
    for kind in sorted(model.artifacts.keys() | record.artifacts.keys()):
        seen, recorded = model.artifacts.get(kind), record.artifacts.get(kind)
        if seen != recorded:
            yield f"its {kind} has digest {seen}, but its record says {recorded}"
    if measured.artifact != JUDGED:
        yield f"the evaluation is of its {measured.artifact}, but its {JUDGED} is judged"
    if measured.model_digest != found:
        yield f"the evaluation measured digest {measured.model_digest}, but its {JUDGED} has digest {found}"
    yield from find_disagreements(evaluation)
    if measured.split != split:
        yield f"the evaluation is of the {measured.split} split, but the {split} split is needed"
    for origin, digest in (("candidate was made from", record.dataset_digest), ("evaluation used", measured.dataset_digest)):
        if digest != dataset_digest:
            yield f"the {origin} dataset {digest}, but this run's is {dataset_digest}"
    if len(latencies) != 1:
        yield f"the benchmark measured it {len(latencies)} times, but must once"
    for latency in latencies:
        if latency.artifact != JUDGED or latency.model_digest != found:
            yield f"the benchmark measured {latency.artifact} {latency.model_digest}, but its {JUDGED} has digest {found}"
