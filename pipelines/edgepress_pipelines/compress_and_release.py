"""The pipeline: train or adopt a baseline, compress it by every recipe, measure, judge, and release what passed.

One function for both engines. Everything that differs from run to run is a parameter, the recipes among them, so one compiled pipeline
serves every model and team. What a compiled file must fix (how many recipes run at a time, where the code comes from) is a
``BuildSettings``.
"""

import importlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from kfp import dsl

from edgepress import images
from edgepress.benchmark.component import benchmark
from edgepress.contracts.candidate import JUDGED
from edgepress.contracts.run import CODE_DIGEST_VARIABLE
from edgepress.contracts.stages import STAGES, Stage
from edgepress.convert.component import convert
from edgepress.evaluate.component import evaluate, evaluate_test
from edgepress.finish.component import finish
from edgepress.gate.component import judge, nominate
from edgepress.ingest.component import ingest, locate
from edgepress.release.component import release
from edgepress.report.component import report
from edgepress.train.component import train
from edgepress_pipelines.flow.pipeline_name import PIPELINE_DESCRIPTION, PIPELINE_NAME
from edgepress_pipelines.kubeflow.pod_settings import PodParameters, PodSettings, ResourceParameters

Component = Callable[..., dsl.PipelineTask]

CACHED_STEPS = {
    "train": "edgepress.train.step",
    **{name.replace("_", "-"): f"{stage.room}.step" for name, stage in STAGES.items()},
    "evaluate": "edgepress.evaluate.step",
    "evaluate-test": "edgepress.evaluate.step",
}
"""Component -> the module of its step, for every component whose result may come from the cache."""

SELF_CONTAINED = {"locate"}
"""Cached components without a step: their whole code is their declaration, which KFP's cache compares itself."""


@dataclass(frozen=True)
class BuildSettings:
    """What is fixed when the pipeline is built.

    Attributes:
        parallelism: recipes that run at the same time.
        run_id: identifies the run in its verdict and release; None takes the engine's own identifier.
        code_digests: component (as in CACHED_STEPS) -> digest of the code that it imports, which enters its cache key. Empty where the
            image's digest says it.
        pods: what pods get on a cluster; None for the local runner, which has none.
        exit_handler: end with a task that records how the run ended, whatever happened in it.
    """

    parallelism: int
    run_id: str | None = None
    code_digests: Mapping[str, str] = field(default_factory=dict)
    pods: PodSettings | None = None
    exit_handler: bool = False


def declaration(stage: Stage) -> Component:
    """A stage's component, from its room."""
    found: Component = getattr(importlib.import_module(f"{stage.room}.component"), stage.name)
    return found


def build_pipeline(build: BuildSettings) -> Callable[..., Any]:
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
        node_selector: dict = {},  # type: ignore[type-arg]  # noqa: B006
        tolerations: list = [],  # type: ignore[type-arg]  # noqa: B006
        credentials_secret: str = "",
        settings_config_map: str = "",
        trainer_cpu: str = "",
        trainer_memory: str = "",
        trainer_accelerator: str = "",
        trainer_accelerator_count: str = "",
        evaluator_cpu: str = "",
        evaluator_memory: str = "",
        evaluator_accelerator: str = "",
        evaluator_accelerator_count: str = "",
        releaser_cpu: str = "",
        releaser_memory: str = "",
        releaser_accelerator: str = "",
        releaser_accelerator_count: str = "",
    ) -> None:
        resources = {
            images.TRAINER: ResourceParameters(trainer_cpu, trainer_memory, trainer_accelerator, trainer_accelerator_count),
            images.EVALUATOR: ResourceParameters(evaluator_cpu, evaluator_memory, evaluator_accelerator, evaluator_accelerator_count),
            images.RELEASER: ResourceParameters(releaser_cpu, releaser_memory, releaser_accelerator, releaser_accelerator_count),
        }
        pod_parameters = PodParameters(resources, node_selector, tolerations, credentials_secret, settings_config_map)

        def placed(task: dsl.PipelineTask) -> dsl.PipelineTask:
            """A task whose pod has what its image's tasks need."""
            if build.pods is None:
                return task
            build.pods.dress(task, pod_parameters)
            return task if task.component_spec.name == "finish" else build.pods.retry(task)

        def cached(component: Component, **inputs: Any) -> dsl.PipelineTask:
            """A task whose result depends on its inputs and the code alone."""
            task = placed(component(context=context, **inputs))
            name = task.component_spec.name
            if build.code_digests and name not in SELF_CONTAINED:
                task.set_env_variable(CODE_DIGEST_VARIABLE, build.code_digests[name])
            return task.set_caching_options(True)

        def fresh(component: Component, **inputs: Any) -> dsl.PipelineTask:
            """A task that looks at the world, or acts on it: never taken from the cache."""
            return placed(component(context=context, **inputs)).set_caching_options(False)

        ending = dsl.ExitHandler(fresh(finish, run_id=run_id), name="run") if build.exit_handler else nullcontext()
        with ending:
            ingested = fresh(ingest, settings=dataset).set_display_name("ingest")
            if build.pods is not None:
                build.pods.mount_data(ingested)
            data = cached(locate, address=ingested.outputs["Output"]).set_display_name("dataset").outputs["dataset"]
            trained = cached(
                train, settings=baseline, module_uri=module_uri, module_digest=module_digest, source_digest=source_digest, dataset=data
            )
            reference = cached(convert, recipe="baseline", settings="{}", candidate=trained.outputs["baseline"], dataset=data).outputs[
                "output"
            ]
            validated = cached(evaluate, recipe="baseline", artifact=JUDGED, candidate=reference, dataset=data)
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
            tested = cached(evaluate_test, recipe="baseline", artifact=JUDGED, candidate=reference, dataset=data)
            baseline_test = tested.outputs["evaluation"]
            tested = cached(evaluate_test, recipe="nominee", artifact=JUDGED, candidate=nominee, dataset=data)
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
