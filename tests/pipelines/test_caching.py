"""The cache: an edit runs again what depends on it, and nothing else."""

from pathlib import Path

import pytest

from tests.pipelines.small_project import SmallProject

ALWAYS = {("ingest", None), ("benchmark", None), ("nominate", None), ("judge", None), ("report", None), ("release", None)}
"""Tasks that look at the world or act on it."""

NOMINEE = {("evaluate_test", "nominee")}
"""The nominee is a new artifact of each run's nomination."""

STAGES = ("distill", "prune", "cluster", "quantize", "convert", "evaluate")
BASELINE = {("train", "baseline"), ("convert", "baseline"), ("evaluate", "baseline"), ("evaluate_test", "baseline")}


def every_stage(recipe: str) -> set[tuple[str, str]]:
    return {(stage, recipe) for stage in STAGES}


MODULE = """
from tensorflow import keras

def build_model(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
"""


@pytest.mark.timeout(900)
def test_an_edit_runs_again_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    # One test, because each run starts from the cache that the one before it left. The first run is a real one; the others repeat what
    # its tasks left wherever that took TensorFlow.
    everything = ALWAYS | NOMINEE | BASELINE | every_stage("float16") | every_stage("pruned-int8")
    project = SmallProject(tmp_path)
    module = project.folder / "model.py"
    module.write_text(MODULE)
    project.config["baseline"] = {"module": "model.py", "train": {"epochs": 12, "batch_size": 32, "learning_rate": 0.005}}

    project.record()
    first = project.run()
    assert first.exit_code == 0, first.output
    assert first.executed() >= ALWAYS | BASELINE | {("prune", "pruned-int8"), ("convert", "float16")}
    project.replay()

    module.write_text(MODULE)
    for path in ("report/step.py", "observe/metrics_push.py", "task.py"):
        append_comment(project.code(f"components/edgepress/{path}"))
    equal_module_and_report_code = project.run()
    assert equal_module_and_report_code.exit_code == 0, equal_module_and_report_code.output
    assert equal_module_and_report_code.executed() == ALWAYS | NOMINEE

    project.config["recipes"][1]["convert"]["representative_dataset"]["samples"] = 60
    later_setting = project.run()
    assert later_setting.executed() == ALWAYS | NOMINEE | {("convert", "pruned-int8"), ("evaluate", "pruned-int8")}

    append_comment(project.code("components/edgepress/compress/prune/pruning.py"))
    stage_code = project.run()
    assert stage_code.executed() == ALWAYS | NOMINEE | every_stage("pruned-int8") - {("distill", "pruned-int8")} | {
        (stage, "float16") for stage in STAGES[1:]
    }

    module.write_text(f"{MODULE}# edited\n")
    edited_module = project.run()
    assert edited_module.executed() == everything

    project.write_data(brightness=0.9)
    data = project.run()
    assert data.exit_code == 0, data.output
    assert data.executed() == everything


def append_comment(path: Path) -> None:
    path.write_text(path.read_text() + "\n# edited\n")
