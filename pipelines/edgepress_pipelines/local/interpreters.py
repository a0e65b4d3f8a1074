"""Which interpreters a run's tasks are forked from, read off the pipeline."""

from typing import Any

from edgepress import images
from edgepress_pipelines.local.preloaded_process import Preloaded

_EVERY_TASK = ("kfp.dsl.executor", "edgepress.contracts.config", "edgepress.storage.dataset")
_COMPUTING = ("kfp.dsl.executor", "edgepress.models.keras", "tensorflow_model_optimization")


def interpreters_of(pipeline: Any) -> list[Preloaded]:
    """One for tasks that compute with TensorFlow, and one without it for the others, what is measured among them.

    Those that compute with TensorFlow run in the trainer's image, and have a code digest because their results are worth keeping.

    Args:
        pipeline: as ``build_pipeline`` gives it, with code digests.
    """
    computing: set[str] = set()
    others: set[str] = set()
    for executor in pipeline.pipeline_spec.deployment_spec["executors"].values():
        container = executor["container"]
        arguments = list(container["args"])
        is_kept = container["image"] == images.TRAINER and "env" in container
        (computing if is_kept else others).add(arguments[arguments.index("--function_to_execute") + 1])
    return [
        Preloaded(functions=sorted(others), modules=_EVERY_TASK, when="at-once"),
        Preloaded(functions=sorted(computing), modules=_COMPUTING, when="when-needed"),
    ]
