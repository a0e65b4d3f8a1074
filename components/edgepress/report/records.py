"""Everything that the report tells of one run, read once and matched by the recipe's name inside each file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from edgepress.contracts.candidate import BASELINE, TFLITE_NAME, CandidateRecord, read_candidate
from edgepress.contracts.config import Name
from edgepress.contracts.evaluation import OpenedEvaluation, open_evaluation
from edgepress.contracts.latency import Benchmark, read_benchmark
from edgepress.contracts.measured import gather_metrics
from edgepress.contracts.metrics import Metrics
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.verdict import CandidateVerdict, TargetVerdict, Verdict, read_verdict
from edgepress.errors import IntegrityError
from edgepress.tasks.registry import TASKS
from edgepress.tasks.task import LearningTask

T = TypeVar("T")

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class RunRecords:
    """One run.

    Attributes:
        candidates, evaluations: by recipe, without the baseline; evaluations are on validation data.
        models: recipe (and ``baseline``) -> its ``.tflite``; failed recipes have none.
        nominee_test: the nominee on test data; None when nothing was nominated or its evaluation failed.
    """

    name: str
    run_id: str
    policy: GateSettings
    verdict: Verdict
    baseline: CandidateRecord
    candidates: dict[str, CandidateRecord]
    models: dict[str, Path]
    baseline_validation: OpenedEvaluation
    evaluations: dict[str, OpenedEvaluation]
    baseline_test: OpenedEvaluation
    nominee_test: OpenedEvaluation | None
    benchmark: Benchmark

    @property
    def task(self) -> LearningTask:
        """The kind of learning task."""
        return TASKS[self.verdict.task]

    @property
    def target(self) -> TargetVerdict | None:
        """The judged target; None when nothing was nominated."""
        return self.verdict.targets[0] if self.verdict.targets else None

    @property
    def examined(self) -> tuple[OpenedEvaluation, OpenedEvaluation] | None:
        """Whose mistakes the report looks into, and the baseline on the same data: the nominee on test data or, when nothing was nominated,
        the candidate that is best by the task's selecting metric on validation data. None when nothing was measured."""
        if self.nominee_test is not None:
            return self.nominee_test, self.baseline_test
        selecting = self.task.selecting
        best: tuple[float, OpenedEvaluation] | None = None
        for evaluation in self.evaluations.values():
            value = evaluation.record.metrics.get(selecting.name)
            if value is not None and (best is None or selecting.is_better(value, best[0])):
                best = value, evaluation
        return None if best is None else (best[1], self.baseline_validation)

    @property
    def baseline_metrics(self) -> Metrics:
        """The baseline on validation data, as the candidates' metrics are."""
        return gather_metrics(self.baseline_validation, self.benchmark.latency(BASELINE), self.baseline_validation)


def read_run(
    *,
    name: str,
    run_id: str,
    policy: GateSettings,
    verdict: Path,
    baseline: Path,
    candidates: list[Path],
    baseline_evaluation: Path,
    evaluations: list[Path],
    baseline_test_evaluation: Path,
    nominee_evaluation: Path,
    benchmark: Path,
) -> RunRecords:
    """Read one run's records.

    Raises:
        IntegrityError: a record cannot be read, names a recipe twice, or names one that is no name.
    """
    found = [(read_candidate(path), path) for path in candidates]
    recipes = _by_recipe(((record.recipe, (record, path)) for record, path in found), "candidates")
    evaluated = _by_recipe(((opened.record.recipe, opened) for opened in map(open_evaluation, evaluations)), "evaluations")
    nominee_test = open_evaluation(nominee_evaluation)
    judged = read_verdict(verdict)
    if judged.nominee is not None and judged.nominee not in recipes:
        raise IntegrityError(f"{verdict}: the nominee {judged.nominee} is not among the candidates; run again")
    models = {BASELINE: baseline / TFLITE_NAME}
    models |= {recipe: path / TFLITE_NAME for recipe, (record, path) in recipes.items() if record.failure is None}
    return RunRecords(
        name=name,
        run_id=run_id,
        policy=policy,
        verdict=judged,
        baseline=read_candidate(baseline),
        candidates={recipe: record for recipe, (record, _) in recipes.items()},
        models={recipe: path for recipe, path in models.items() if path.is_file()},
        baseline_validation=open_evaluation(baseline_evaluation),
        evaluations=evaluated,
        baseline_test=open_evaluation(baseline_test_evaluation),
        nominee_test=nominee_test if judged.nominee is not None and nominee_test.record.failure is None else None,
        benchmark=read_benchmark(benchmark),
    )


def find_verdict(records: RunRecords, recipe: str) -> CandidateVerdict | None:
    """What the gate said of a recipe on validation data."""
    return next((verdict for verdict in records.verdict.candidates if verdict.recipe == recipe), None)


def _by_recipe(named: Iterable[tuple[str, T]], kind: str) -> dict[str, T]:
    result: dict[str, T] = {}
    for recipe, value in named:
        try:
            _NAME.validate_python(recipe)
        except ValidationError as error:
            raise IntegrityError(f"{kind}: {recipe!r} is not a recipe's name, so no file can be named after it") from error
        if recipe in result:
            raise IntegrityError(f"{kind}: {recipe} is there twice; run again")
        result[recipe] = value
    return result
