"""What enters the digest of a task's code: all that it computes with, and nothing of what only watches it."""

import pytest

from edgepress_pipelines.local.code_digest import _AROUND_A_TASK, _ROOT, _closure, _source, code_digest

STEPS = [f"edgepress.{room}.step" for room in ("train", "compress.distill", "compress.prune", "compress.cluster", "compress.quantize")]
STEPS += [f"edgepress.{room}.step" for room in ("convert", "evaluate")]


def files(step: str) -> set[str]:
    return {path.relative_to(_ROOT).as_posix() for path in _closure(step)}


@pytest.mark.parametrize("step", STEPS)
def test_what_watches_a_task_is_left_out(step: str) -> None:
    found = files(step)
    assert not {"task.py", "telemetry.py"} & found
    assert not [name for name in found if name.startswith("observe/")]
    assert {"errors.py", "contracts/candidate.py", "contracts/strict.py"} <= found


@pytest.mark.parametrize("module", _AROUND_A_TASK)
def test_what_is_left_out_exists(module: str) -> None:
    assert _source(module) is not None


def test_what_a_task_computes_with_is_in() -> None:
    assert {"train/fit.py", "train/batches.py", "models/registry.py"} <= files("edgepress.train.step")
    assert {"train/fit.py", "stages/stage.py", "compress/prune/pruning.py"} <= files("edgepress.compress.prune.step")
    assert {"tflite/litert.py", "tasks/classification.py"} <= files("edgepress.evaluate.step")


def test_a_digest_is_of_this_module_s_code() -> None:
    assert code_digest("edgepress.train.step") != code_digest("edgepress.convert.step")
    with pytest.raises(ValueError, match="not a module"):
        code_digest("edgepress.nothing")
