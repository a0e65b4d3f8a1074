"""What every test of pipelines shares."""

import inspect
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kfp.dsl import pipeline_task


@pytest.fixture(scope="session", autouse=True)
def _compiler_without_sources() -> Iterator[None]:
    """KFP reads the source of every frame of the stack at each setting of a task, only to name a method in an error. Under pytest, with
    its deep stack and TensorFlow's thousands of modules, that is most of a compile's time. Commands in processes of their own keep it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=lambda: inspect.stack(context=0)))
        yield
