"""A stage is its declaration in ``STAGES`` and its room: with a toy one more, everything else follows.

It runs in a process of its own, where the toy is declared before anything that follows from the declarations is imported.
"""

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.stages import STAGES
from edgepress_pipelines.compress_and_release import declaration, step_of

ROOT = Path(__file__).parents[2]

STEP = """
from edgepress.stages.stage import StageResult, run_stage

def soften(*, recipe, settings, candidate, dataset, output):
    apply = lambda given: StageResult(facts={"softness": settings.softness})
    run_stage(stage="soften", recipe=recipe, settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply)
"""
COMPONENT = '''
from kfp import dsl
from edgepress import images

@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def soften(
    context: str,
    recipe: str,
    settings: str,
    candidate: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    output: dsl.Output[dsl.Model],
) -> None:
    """A toy."""
'''
DECLARE = """
from edgepress.contracts import stages
from edgepress.contracts.strict import StrictModel

class SoftenSettings(StrictModel):
    softness: int = 1

def refuse(recipe):
    return "soften and prune undo each other; drop one" if recipe["prune"] is not None else None

last = stages.STAGES.pop("convert")
stages.STAGES |= {"soften": stages.Stage("soften", SoftenSettings, room="toy_room", refuses=refuse), "convert": last}
"""
FOLLOW = """
import json
import sys
from pathlib import Path

from edgepress.contracts.candidate import CandidateRecord, read_candidate, write_candidate
from edgepress.contracts.config import PipelineConfig
from edgepress.errors import ConfigError
from edgepress_pipelines.compress_and_release import declaration, step_of
from edgepress_pipelines.flow.plan import plan_tasks
from edgepress_pipelines.kubeflow.run_parameters import run_parameters
from tests.pipelines.cluster_configs import cluster_config, compiled
from tests.pipelines.compiled_pipeline import findings
from tests.unit.test_compress_stage import write_manifest
from toy_room.step import soften

place, digest = Path(sys.argv[1]), "sha256:" + "0" * 64
config = cluster_config("digits", ["recipes.int8.soften.softness=3"])
documents = compiled(config)
graph = documents[0]
parameters = run_parameters(config)
try:
    cluster_config("digits", ["recipes.pruned50-int8.soften.softness=3"])
    refused = None
except ConfigError as error:
    refused = str(error)
write_candidate(place / "before", CandidateRecord(recipe="r", dataset_digest=digest))
write_manifest(place / "dataset", digest)
settings = config.recipes[1].soften
soften(recipe="r", settings=settings, candidate=place / "before", dataset=place / "dataset", output=place / "after")
print(json.dumps({
    "findings": findings(*documents),
    "loop": graph["components"]["comp-for-loop-1"]["dag"]["tasks"],
    "items": {item["recipe"]: item["soften"] for item in parameters["recipes"]},
    "refused": refused,
    "schema": PipelineConfig.model_json_schema()["$defs"]["RecipeSettings"]["properties"]["soften"]["anyOf"],
    "step": step_of(declaration(stages.STAGES["soften"])),
    "plan": [[task.task, task.applied] for task in plan_tasks(graph, parameters) if task.recipe == "int8"],
    "trace": [[done.stage, done.settings, done.facts] for done in read_candidate(place / "after").trace],
}))
"""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process with the toy says of it."""
    place = tmp_path_factory.mktemp("toy")
    room = place / "toy_room"
    room.mkdir()
    for name, text in (("__init__", ""), ("step", STEP), ("component", COMPONENT)):
        (room / f"{name}.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), str(ROOT), *sys.path])}
    command = [sys.executable, "-c", DECLARE + FOLLOW, str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_the_configuration_takes_it(followed: dict[str, Any]) -> None:
    assert followed["schema"] == [{"$ref": "#/$defs/SoftenSettings"}, {"type": "null"}]
    assert followed["refused"].endswith("recipes.pruned50-int8: soften and prune undo each other; drop one")


def test_the_compiled_pipeline_runs_it_in_its_place(followed: dict[str, Any]) -> None:
    assert followed["findings"] == []
    loop = followed["loop"]
    assert len(loop) == len(STAGES) + 2
    producers = {
        name: task["inputs"]["artifacts"]["candidate"].get("taskOutputArtifact", {}).get("producerTask") for name, task in loop.items()
    }
    assert (producers["soften"], producers["convert-2"], producers["evaluate-2"]) == ("quantize", "soften", "convert-2")
    assert loop["soften"]["cachingOptions"]["enableCache"]
    assert followed["step"] == "toy_room.step"
    assert followed["items"] == {name: '{"softness":3}' if name == "int8" else "null" for name in followed["items"]}


def test_the_plan_shows_it(followed: dict[str, Any]) -> None:
    assert followed["plan"] == [
        ["distill", False],
        ["prune", False],
        ["cluster", False],
        ["quantize", False],
        ["soften", True],
        ["convert", True],
        ["evaluate", True],
    ]


def test_a_candidate_records_it(followed: dict[str, Any]) -> None:
    assert followed["trace"] == [["soften", {"softness": 3}, {"softness": 3}]]


@pytest.mark.parametrize("name", STAGES)
def test_a_declared_stage_has_its_room(name: str) -> None:
    stage = STAGES[name]
    component = declaration(stage)
    assert step_of(component) == f"{stage.room}.step"
    inputs = component.component_spec.inputs
    assert {"recipe", "settings", "candidate", "dataset"} <= set(inputs)
    step = getattr(importlib.import_module(f"{stage.room}.step"), name)
    assert ("state" in inspect.signature(step).parameters) == stage.trains
