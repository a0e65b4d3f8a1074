"""The pipeline: train or adopt a baseline, compress it by every recipe, measure, judge, and release what passed.

One function for both engines. Everything that differs from run to run is a parameter, the recipes among them, so one compiled pipeline
serves every model and team. What a compiled file must fix (how many recipes run at a time, where the code comes from, what pods get) is a
``BuildSettings``.
"""

import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.python_component import PythonComponent

from edgepress.benchmark.component import benchmark
from edgepress.contracts.candidate import JUDGED
from edgepress.contracts.run import CODE_DIGEST_VARIABLE
from edgepress.contracts.stages import STAGES, Stage
from edgepress.convert.component import convert
from edgepress.evaluate.component import evaluate, evaluate_test
from edgepress.finish.component import finish
from edgepress.gate.component import judge, nominate
from edgepress.ingest.component import ingest, pin_dataset
from edgepress.release.component import release
from edgepress.report.component import report
from edgepress.train.component import train
from edgepress_pipelines.flow.pipeline_name import PIPELINE_DESCRIPTION, PIPELINE_NAME


class Pods(Protocol):
    """What tasks get where each runs in a pod of its own."""

    def dress(self, task: dsl.PipelineTask) -> None:
        """Settle all that the graph does not say: the task's image, what its pod asks for and sees, whether it is tried again."""


@dataclass(frozen=True)
class BuildSettings:
    """What is fixed when the pipeline is built.

    Attributes:
        parallelism: recipes that run at the same time.
        run_id: identifies the run in its verdict and release; None takes the engine's own identifier.
        code_digest: the digest of the code that a module of a step imports, which enters the cache key of its tasks. None where the
            image's digest says it.
        pods: dresses each task for a cluster; None for the local runner, which has no pods.
        exit_handler: end with a task that records how the run ended, whatever happened in it.
    """

    parallelism: int
    run_id: str | None = None
    code_digest: Callable[[str], str] | None = None
    pods: Pods | None = None
    exit_handler: bool = False


def declaration(stage: Stage) -> PythonComponent:
    """A stage's component, from its room."""
    found: PythonComponent = getattr(importlib.import_module(f"{stage.room}.component"), stage.name)
    return found


def build_pipeline(build: BuildSettings) -> GraphComponent:
    """The pipeline function, ready to be compiled or called."""
    run_id = build.run_id or dsl.PIPELINE_JOB_ID_PLACEHOLDER

    @dsl.pipeline(name=PIPELINE_NAME, description=PIPELINE_DESCRIPTION)
    def compress_and_release(
        context: str,
        dataset: str,
        baseline: str,
        recipes: list,  # type: ignore[type-arg]  # KFP reads the annotation; items are {"recipe": name, "<stage>": settings as JSON}
        benchmark_settings: str,
        policy: str,
        release_settings: str,
        module_uri: str = "",
        module_digest: str = "",
        source_digest: str = "",
        fingerprint: str = "",
    ) -> None:
        def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
            if build.pods is not None:
                build.pods.dress(task)
            return task

        def named(component: PythonComponent, name: str | None, inputs: dict[str, Any]) -> dsl.PipelineTask:
            """A task of a step, called in the graph as in its log and events; see ``plan_tasks``."""
            task = component(context=context, **inputs).set_display_name(name or component.python_func.__name__)
            return placed(task)

        def cached(component: PythonComponent, name: str | None = None, /, **inputs: Any) -> dsl.PipelineTask:
            """A task whose result depends on its inputs and the code alone."""
            task = named(component, name, inputs)
            if build.code_digest is not None:
                task.set_env_variable(CODE_DIGEST_VARIABLE, build.code_digest(step_of(component)))
            return task.set_caching_options(True)

        def fresh(component: PythonComponent, name: str | None = None, /, **inputs: Any) -> dsl.PipelineTask:
            """A task that looks at the world, or acts on it: never taken from the cache."""
            return named(component, name, inputs).set_caching_options(False)

        ending = dsl.ExitHandler(fresh(finish, run_id=run_id), name="run") if build.exit_handler else nullcontext()
        with ending:
            ingested = fresh(ingest, settings=dataset)
            # Not `cached`: its whole code is its declaration, which KFP's cache compares itself.
            pinned = placed(pin_dataset(address=ingested.outputs["Output"])).set_caching_options(True).set_display_name("dataset")
            data = pinned.outputs["dataset"]
            trained = cached(
                train,
                "train.baseline",
                settings=baseline,
                module_uri=module_uri,
                module_digest=module_digest,
                source_digest=source_digest,
                dataset=data,
            )
            converted_baseline = cached(
                convert, "convert.baseline", recipe="baseline", settings="{}", candidate=trained.outputs["baseline"], dataset=data
            )
            reference = converted_baseline.outputs["output"]
            validated = cached(evaluate, "evaluate.baseline", recipe="baseline", artifact=JUDGED, candidate=reference, dataset=data)
            validation = validated.outputs["evaluation"]

            with dsl.ParallelFor(items=recipes, parallelism=build.parallelism) as item:
                candidate = trained.outputs["baseline"]
                for name, stage in STAGES.items():
                    applied = cached(
                        declaration(stage), recipe=item.recipe, settings=getattr(item, name), candidate=candidate, dataset=data
                    )
                    candidate = applied.outputs["output"]
                evaluated = cached(evaluate, recipe=item.recipe, artifact=JUDGED, candidate=candidate, dataset=data)

            evaluation = evaluated.outputs["evaluation"]
            measured = fresh(
                benchmark,
                settings=benchmark_settings,
                artifact=JUDGED,
                baseline=reference,
                candidates=dsl.Collected(candidate),
                dataset=data,
            )
            measurements = measured.outputs["measurements"]
            nominated = fresh(
                nominate,
                policy=policy,
                baseline=reference,
                candidates=dsl.Collected(candidate),
                baseline_evaluation=validation,
                evaluations=dsl.Collected(evaluation),
                measurements=measurements,
            )
            nominee = nominated.outputs["nominee"]
            tested_baseline = cached(
                evaluate_test, "evaluate_test.baseline", recipe="baseline", artifact=JUDGED, candidate=reference, dataset=data
            )
            baseline_test = tested_baseline.outputs["evaluation"]
            tested = cached(evaluate_test, "evaluate_test.nominee", recipe="nominee", artifact=JUDGED, candidate=nominee, dataset=data)
            nominee_test = tested.outputs["evaluation"]
            judged = fresh(
                judge,
                policy=policy,
                run_id=run_id,
                nomination=nominated.outputs["nomination"],
                nominee=nominee,
                nominee_evaluation=nominee_test,
                baseline_evaluation=baseline_test,
                measurements=measurements,
            )
            verdict = judged.outputs["verdict"]
            reported = fresh(
                report,
                run_id=run_id,
                policy=policy,
                fingerprint=fingerprint,
                source=ingested.outputs["source"],
                verdict=verdict,
                baseline=reference,
                candidates=dsl.Collected(candidate),
                baseline_evaluation=validation,
                evaluations=dsl.Collected(evaluation),
                baseline_test_evaluation=baseline_test,
                nominee_evaluation=nominee_test,
                measurements=measurements,
            )
            with dsl.If(judged.outputs["Output"] == "passed", name="passed"):
                fresh(release, run_id=run_id, settings=release_settings, verdict=verdict, nominee=nominee, dataset=data).after(reported)

    return compress_and_release


def step_of(component: PythonComponent) -> str:
    """The module of a component's step, which is beside its declaration."""
    return f"{component.python_func.__module__.removesuffix('.component')}.step"
