"""A whole run of real containers: each task in the image, with the command and the pod settings of the pipeline that the trigger uploaded.

Only what is trained and asked of it is smaller than in the overlay's configuration.
"""

import json
from typing import Any

import yaml

from tests.cluster.node.compiled_tasks import Artifact, CompiledRun
from tests.cluster.node.installed_locally import RUNS, TASK_CLAIM, LocalInstallation
from tests.cluster.node.node_under_test import NodeUnderTest

BASELINE = {"model": "mlp", "params": {"hidden": [16]}, "train": {"epochs": 6, "batch_size": 32, "learning_rate": 0.005}}
POLICY = {"objective": "size_bytes", "accuracy": {"min": 0.5, "max_drop": 0.2}}
JUDGED = "tflite"
BENCHMARK = {"rounds": 5, "invocations_per_round": 40}


def test_a_run_of_real_containers_ends_in_a_release(node: NodeUnderTest, installed_locally: LocalInstallation) -> None:
    run = first_run(installed_locally)
    policy = {"policy": json.dumps(POLICY)}

    ingested = run.run("ingest").parameters
    data = run.run("pin-dataset", {"address": ingested["Output"]}).artifacts["dataset"]
    trained = run.run("train", {"settings": json.dumps(BASELINE)}, dataset=data).artifacts["baseline"]

    def converted(component: str, recipe: str, quantization: str) -> Artifact:
        asked = {"recipe": recipe, "settings": json.dumps({"quantization": quantization})}
        return run.run(component, asked, candidate=trained, dataset=data).artifacts["output"]

    baseline, int8 = converted("convert", "baseline", "float32"), converted("convert-2", "int8", "int8")

    def evaluated(component: str, recipe: str, candidate: Artifact) -> Artifact:
        asked = {"recipe": recipe, "artifact": JUDGED}
        return run.run(component, asked, candidate=candidate, dataset=data).artifacts["evaluation"]

    reference, evaluation = evaluated("evaluate", "baseline", baseline), evaluated("evaluate-2", "int8", int8)
    settings = {"settings": json.dumps(BENCHMARK), "artifact": JUDGED}
    measured = run.run("benchmark", settings, baseline=baseline, candidates=[int8], dataset=data).artifacts["measurements"]
    found: dict[str, Any] = {"baseline": baseline, "candidates": [int8], "baseline_evaluation": reference, "evaluations": [evaluation]}
    chosen = run.run("nominate", policy, **found, measurements=measured).artifacts
    tested = evaluated("evaluate-test", "baseline", baseline)
    nominee = evaluated("evaluate-test-2", "nominee", chosen["nominee"])
    judged = run.run("judge", policy, **chosen, nominee_evaluation=nominee, baseline_evaluation=tested, measurements=measured)
    assert judged.parameters["Output"] == "passed"
    verdict = judged.artifacts["verdict"]
    published = run.run("release", verdict=verdict, nominee=chosen["nominee"], dataset=data).parameters["Output"]

    bucket, _, prefix = published.removeprefix("s3://").partition("/")
    keys = {item["Key"] for item in installed_locally.store().list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]}
    assert {key.rpartition("/")[2] for key in keys} >= {"model.tflite", "verdict.json"}


def first_run(installed: LocalInstallation) -> CompiledRun:
    """The run that the receiver started, from what it uploaded and asked for."""
    run = installed.first_run()
    uploaded = installed.kfp.state.uploads[run["pipeline_version_reference"]["pipeline_version_id"]]
    spec, pods = yaml.safe_load_all(uploaded)
    return CompiledRun(installed.api, spec, pods, run["run_id"], run["runtime_config"]["parameters"], RUNS, TASK_CLAIM, installed.artifacts)
