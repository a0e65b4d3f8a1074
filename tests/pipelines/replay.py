"""Steps that compute once and afterwards leave what they left then: for runs whose subject is which tasks run, and not what they compute.

A project's own copy of the code is changed for it, before the project's first run: what a step imports stays the same, and so does what
the caches compare. KFP's runner, its cache, the tasks and their events are the real ones.
"""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgepress.task import task

RECORDINGS_VARIABLE = "EDGEPRESS_TEST_RECORDINGS"
STEPS = ("train", "compress/distill", "compress/prune", "compress/cluster", "compress/quantize", "convert")
"""Rooms whose steps compute with TensorFlow. Each step is called as its room, and leaves one directory."""


def replaying(name: str, step: Callable[..., None]) -> Callable[..., None]:
    """A task that does what the step does the first time for each recipe, and then repeats it."""
    compute = step.__wrapped__  # type: ignore[attr-defined]  # what `task` surrounds

    @functools.wraps(compute)
    def repeat(*, recipe: str, output: Path, dataset: str, **inputs: Any) -> None:
        kept = Path(os.environ[RECORDINGS_VARIABLE]) / f"{name}.{recipe}"
        if not kept.exists():
            compute(recipe=recipe, output=output, dataset=dataset, **inputs)
            shutil.copytree(output, kept / "output")
            (kept / "dataset").write_text(Path(dataset).name)
            return
        shutil.copytree(kept / "output", output)
        # What is judged must say that it was made from the data of its run; a dataset's directory is called by its digest.
        for record in output.rglob("*.json"):
            record.write_text(record.read_text().replace((kept / "dataset").read_text(), Path(dataset).name))

    return task(name)(repeat)


def replay_steps(components: Path) -> None:
    """Have the steps of a copy of ``components`` repeat what they do first."""
    for room in STEPS:
        name = Path(room).name
        with (components / "edgepress" / room / "step.py").open("a") as source:
            source.write(f'\nfrom tests.pipelines.replay import replaying  # noqa\n\n{name} = replaying("{name}", {name})\n')


def forbid_tensorflow(folder: Path) -> Path:
    """A folder for the front of PYTHONPATH: whoever imports TensorFlow then fails."""
    (folder / "tensorflow").mkdir(parents=True)
    (folder / "tensorflow" / "__init__.py").write_text('raise ImportError("this run only repeats what was computed before")\n')
    return folder
