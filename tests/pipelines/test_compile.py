"""The compiled pipeline: sound by a strict reader, equal to its golden files, and still one pipeline for every configuration."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp.components import load_component_from_file

from edgepress.device.digest import digest_file
from edgepress.errors import EXIT_WRONG_INPUT, ConfigError, InputError
from edgepress_pipelines.commands.arguments import DEFAULT_IMAGES
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.compile import compile_pipeline
from tests.pipelines.cluster_configs import CONFIGS, EXAMPLE_LOCK, RELEASES, STORAGE, Documents, cluster_config, compiled, example_lock
from tests.pipelines.compiled_pipeline import findings

GOLDENS = Path(__file__).parent / "goldens"
UPDATE_VARIABLE = "EDGEPRESS_UPDATE_GOLDENS"


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
@pytest.mark.parametrize("exit_handler", ["false", "true"])
def test_compiled_pipeline_is_sound(name: str, exit_handler: str, tmp_path: Path) -> None:
    graph, platforms = compiled(cluster_config(name, [f"resources.kubeflow.exit_handler={exit_handler}"]), tmp_path)
    assert findings(graph, platforms) == []


def test_compiled_pipeline_is_the_golden_one(tmp_path: Path) -> None:
    graph, platforms = compiled(cluster_config(), tmp_path)
    # The defaults are digits.yaml's own; what the golden file keeps still is the graph.
    for parameter in graph["root"]["inputDefinitions"]["parameters"].values():
        parameter.pop("defaultValue", None)
    for document, name in ((graph, "compress_and_release.yaml"), (platforms, "compress_and_release.pods.yaml")):
        golden = GOLDENS / name
        text = yaml.safe_dump(document, sort_keys=True, width=140)
        if os.environ.get(UPDATE_VARIABLE) == "1":
            golden.write_text(text)
        assert text == golden.read_text(), f"{name} changed; if it should, run again with {UPDATE_VARIABLE}=1 and read the difference"


def test_two_configurations_compile_to_the_same_pipeline(tmp_path: Path) -> None:
    documents = []
    for name in ("digits", "fashion-mnist"):
        folder = tmp_path / name
        folder.mkdir()
        graph, platforms = compiled(cluster_config(name), folder)
        documents.append((graph["components"], graph["deploymentSpec"], graph["root"]["dag"], platforms))
    assert documents[0] == documents[1]


def test_compiled_file_is_one_that_kfp_reads(tmp_path: Path) -> None:
    compiled(cluster_config(overrides=["resources.kubeflow.exit_handler=true"]), tmp_path)
    component = load_component_from_file(str(tmp_path / "pipeline.yaml"))
    assert component.name == "compress-and-release"
    assert {"context", "recipes", "fingerprint", "node_selector", "tolerations"} <= set(component.component_spec.inputs)


def test_recipes_are_a_parameter_with_the_stages_as_text(tmp_path: Path) -> None:
    graph, _ = compiled(cluster_config(), tmp_path)
    recipes = graph["root"]["inputDefinitions"]["parameters"]["recipes"]
    assert recipes["parameterType"] == "LIST"
    assert [item["recipe"] for item in recipes["defaultValue"]] == [
        recipe.recipe for recipe in load_config(CONFIGS / "digits.yaml").recipes
    ]
    assert all(isinstance(value, str) for item in recipes["defaultValue"] for value in item.values())


def test_every_cached_task_is_keyed_by_the_data_and_nothing_that_is_new_in_every_run(tmp_path: Path) -> None:
    """A cluster's cache compares parameters by value and artifacts by identity, so what a task that is never cached gives can never hit.
    Only ``locate`` takes something from such a task, and that by value: the address, which is made of the content's digest."""
    graph, _ = compiled(cluster_config(), tmp_path)
    tasks = graph["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == {"locate", "train", "convert", "evaluate", "evaluate-test", "evaluate-test-2"}
    assert tasks["locate"]["inputs"]["parameters"]["address"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "ingest"}
    }
    from_ingest = [name for name, task in tasks.items() if "'ingest'" in str(task.get("inputs"))]
    assert sorted(from_ingest) == ["locate", "report"]
    nominee = tasks["evaluate-test-2"]["inputs"]["artifacts"]["candidate"]["taskOutputArtifact"]["producerTask"]
    assert nominee == "nominate"
    for name in cached - {"locate", "evaluate-test-2"} | {"for-loop-1"}:
        producers = {source["taskOutputArtifact"]["producerTask"] for source in tasks[name]["inputs"]["artifacts"].values()}
        assert "locate" in producers
        assert producers <= cached
    in_loop = graph["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert len(in_loop) == 6
    for name, task in in_loop.items():
        assert task["cachingOptions"]["enableCache"], name
        assert task["inputs"]["artifacts"]["dataset"] == {"componentInputArtifact": "pipelinechannel--locate-dataset"}


def test_no_loop_takes_the_output_parameter_of_a_task(tmp_path: Path) -> None:
    """KFP's local runner would give each iteration the loop's item in its place."""
    graph, _ = compiled(cluster_config(), tmp_path)
    loops = [task for task in graph["root"]["dag"]["tasks"].values() if "parameterIterator" in task]
    assert len(loops) == 1
    assert all("taskOutputParameter" not in source for source in loops[0]["inputs"]["parameters"].values())


Damage = Callable[[Documents], None]


def _remove(task: str) -> Damage:
    return lambda documents: documents[0]["root"]["dag"]["tasks"].pop(task)


def _rename_output(component: str) -> Damage:
    def damage(documents: Documents) -> None:
        outputs = documents[0]["components"][component]["outputDefinitions"]["artifacts"]
        outputs["renamed"] = outputs.pop(next(iter(outputs)))

    return damage


def _change_container(executor: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(documents: Documents) -> None:
        change(documents[0]["deploymentSpec"]["executors"][executor]["container"])

    return damage


def _change_pod(executor: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(documents: Documents) -> None:
        change(documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"][executor])

    return damage


def _refer_to(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda pod: pod["nodeSelector"]["nodeSelectorJson"].update(componentInputParameter=name)


def _starve_loop(documents: Documents) -> None:
    del documents[0]["root"]["dag"]["tasks"]["for-loop-1"]["inputs"]["parameters"]["pipelinechannel--tolerations"]
    del documents[0]["components"]["comp-for-loop-1"]["inputDefinitions"]["parameters"]["pipelinechannel--tolerations"]


def _starve_loop_of_cpu(documents: Documents) -> None:
    del documents[0]["root"]["dag"]["tasks"]["for-loop-1"]["inputs"]["parameters"]["pipelinechannel--trainer_cpu"]
    del documents[0]["components"]["comp-for-loop-1"]["inputDefinitions"]["parameters"]["pipelinechannel--trainer_cpu"]


def _starve_train(documents: Documents) -> None:
    del documents[0]["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]["pipelinechannel--trainer_memory"]


def _drop_pod(documents: Documents) -> None:
    del documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (_remove("train"), "which is no task here"),
        (_rename_output("comp-benchmark"), "which it does not give"),
        (_change_container("exec-judge", lambda it: it["command"].append("python3 -m pip install edgepress")), "installs packages"),
        (_change_container("exec-judge", lambda it: it.update(image="registry.example.com/edgepress/evaluator:latest")), "by digest"),
        (_change_pod("exec-prune", _refer_to("node_selector")), "for-loop-1.prune: nodeSelector.nodeSelectorJson refers to node_selector"),
        (_change_pod("exec-train", _refer_to("pipelinechannel--node_selector")), "root.train: nodeSelector.nodeSelectorJson refers to"),
        (_starve_loop, "comp-for-loop-1.prune: tolerations.0.tolerationJson refers to pipelinechannel--tolerations"),
        (_starve_loop_of_cpu, "comp-for-loop-1.prune.pipelinechannel--trainer_cpu refers to pipelinechannel--trainer_cpu, which its group"),
        (_starve_train, "root.train: resourceMemoryRequest refers to pipelinechannel--trainer_memory, which the task is not given"),
        (_drop_pod, "exec-train has no settings of its pod"),
    ],
)
def test_reader_sees_damage(damage: Damage, finding: str, tmp_path: Path) -> None:
    documents = compiled(cluster_config(), tmp_path)
    damage(documents)
    assert any(finding in text for text in findings(*documents)), findings(*documents)


def test_settings_of_any_length_travel_by_their_digest(tmp_path: Path) -> None:
    config = cluster_config()
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"params": {"hidden": "x" * 200_000}})})
    assert findings(*compiled(config, tmp_path)) == []


def test_what_kubernetes_reads_itself_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    selector = {f"example.org/{number}": "x" * 63 for number in range(1_000)}
    config = cluster_config("digits", [f"resources.kubeflow.node_selector={selector}"])
    with pytest.raises(ConfigError, match=r"bytes.*node_selector"):
        compile_pipeline(config, tmp_path / "pipeline.yaml", example_lock())
    assert not (tmp_path / "pipeline.yaml").exists()


def test_a_module_of_any_size_travels_by_its_digest(tmp_path: Path) -> None:
    module = tmp_path / "model.py"
    module.write_text("# " + "x" * 200_000)
    config = cluster_config()
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"model": None, "module": str(module)})})
    compile_pipeline(config, tmp_path / "pipeline.yaml", example_lock())
    spec, *_ = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    digest = digest_file(module)
    assert parameters["module_digest"]["defaultValue"] == digest
    assert parameters["module_uri"]["defaultValue"].endswith(f"/inputs/{digest.removeprefix('sha256:')}/model.py")


@pytest.mark.parametrize("output", ["pipeline.json", "missing/pipeline.yaml"])
def test_output_that_cannot_be_written_is_wrong_input(output: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=output):
        compile_pipeline(cluster_config(), tmp_path / output, example_lock())
    assert list(tmp_path.iterdir()) == []


def compile_command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgepress_pipelines", "compile", str(CONFIGS / "digits.yaml"), "-o", "p.yaml", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_compiles_with_the_lock_that_it_is_given(tmp_path: Path) -> None:
    done = compile_command(tmp_path, "--image-lock", str(EXAMPLE_LOCK), "--set", STORAGE, "--set", RELEASES)
    assert (done.returncode, done.stdout) == (0, "wrote p.yaml\n"), done.stderr
    assert findings(*yaml.safe_load_all((tmp_path / "p.yaml").read_text())) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", STORAGE, "--set", RELEASES], f"{DEFAULT_IMAGES}: there is no image lock, and tasks run only in images pinned by"),
        (
            ["--image-lock", str(EXAMPLE_LOCK)],
            "resources.kubeflow.storage_uri: is not set; a run on a cluster keeps its data and results in",
        ),
    ],
)
def test_the_command_refuses_what_no_cluster_can_run(options: list[str], message: str, tmp_path: Path) -> None:
    done = compile_command(tmp_path, *options)
    assert done.returncode == EXIT_WRONG_INPUT
    assert done.stderr.startswith(f"edgepress: error: {message}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
