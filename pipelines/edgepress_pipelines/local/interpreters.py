"""Which interpreters a run's tasks are forked from, read off the pipeline."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgepress import images
from edgepress_pipelines.local.preloaded_process import Preloaded, preloaded_interpreters

_EVERY_TASK = ("kfp.dsl.executor", "edgepress.contracts.config", "edgepress.storage.dataset")
_COMPUTING = ("kfp.dsl.executor", "edgepress.models.keras", "tensorflow_model_optimization")


@contextmanager
def tasks_forked(pipeline: Any) -> Iterator[None]:
    """Within it KFP's runner forks every task of a pipeline from an interpreter that has imported what the task needs.

    On macOS, whose frameworks do not survive a fork, each task imports it by itself.
    """
    if sys.platform != "linux":
        yield
        return
    with preloaded_interpreters(interpreters_of(pipeline)) as python:
        own, sys.executable = sys.executable, python  # the runner puts it in the place of python3 in every task's command
        try:
            yield
        finally:
            sys.executable = own


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
