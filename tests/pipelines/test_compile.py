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
from edgepress_pipelines.kubeflow.compile import compile_pipeline, write_with_parameters
from edgepress_pipelines.kubeflow.run_parameters import run_parameters
from tests.pipelines.cluster_configs import (
    CONFIGS,
    EXAMPLE_LOCK,
    RELEASES,
    STORAGE,
    Documents,
    cluster_config,
    compiled,
    example_lock,
    written,
)
from tests.pipelines.compiled_pipeline import findings

GOLDENS = Path(__file__).parent / "goldens"
UPDATE_VARIABLE = "EDGEPRESS_UPDATE_GOLDENS"


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
@pytest.mark.parametrize("exit_handler", ["false", "true"])
def test_compiled_pipeline_is_sound(name: str, exit_handler: str, tmp_path: Path) -> None:
    assert findings(*written(cluster_config(name, [f"resources.kubeflow.exit_handler={exit_handler}"]), tmp_path)) == []


def test_compiled_pipeline_is_the_golden_one() -> None:
    graph, platforms = compiled(cluster_config())
    for document, name in ((graph, "compress_and_release.yaml"), (platforms, "compress_and_release.pods.yaml")):
        golden = GOLDENS / name
        text = yaml.safe_dump(document, sort_keys=True, width=140)
        if os.environ.get(UPDATE_VARIABLE) == "1":
            golden.write_text(text)
        assert text == golden.read_text(), f"{name} changed; if it should, run again with {UPDATE_VARIABLE}=1 and read the difference"


def test_configurations_that_ask_for_the_same_pods_share_one_pipeline() -> None:
    digits, fashion = (compile_pipeline(cluster_config(name).resources.kubeflow, example_lock()) for name in ("digits", "fashion-mnist"))
    assert digits == fashion
    assert digits.version_name == fashion.version_name


def test_what_is_uploaded_has_no_values_of_a_configuration() -> None:
    graph, _ = compiled(cluster_config())
    parameters = graph["root"]["inputDefinitions"]["parameters"]
    assert parameters.keys() == run_parameters(cluster_config()).keys()
    optional = {name: parameter["defaultValue"] for name, parameter in parameters.items() if parameter.get("isOptional")}
    assert optional == dict.fromkeys(("module_uri", "module_digest", "source_digest", "fingerprint"), "")
    assert all("defaultValue" not in parameter for name, parameter in parameters.items() if name not in optional)
    assert {name for name, parameter in parameters.items() if parameter["parameterType"] != "STRING"} == {"recipes"}


def test_a_written_pipeline_has_the_values_and_is_else_the_one_that_is_uploaded(tmp_path: Path) -> None:
    config = cluster_config()
    graph, platforms = written(config, tmp_path)
    parameters = graph["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["defaultValue"] for name, parameter in parameters.items()} == run_parameters(config)
    bare, bare_platforms = compiled(config)
    for each in (graph, bare):
        each["root"].pop("inputDefinitions")
    assert (graph, platforms) == (bare, bare_platforms)


def test_compiled_file_is_one_that_kfp_reads(tmp_path: Path) -> None:
    config = cluster_config(overrides=["resources.kubeflow.exit_handler=true"])
    written(config, tmp_path)
    component = load_component_from_file(str(tmp_path / "pipeline.yaml"))
    assert component.name == "compress-and-release"
    assert set(component.component_spec.inputs) == set(run_parameters(config))


def test_every_cached_task_is_keyed_by_the_data_and_nothing_that_is_new_in_every_run() -> None:
    """A cluster's cache compares parameters by value and artifacts by identity, so what a task that is never cached gives can never hit.
    Only ``pin-dataset`` takes something from such a task, and that by value: the address, which is made of the content's digest."""
    graph, _ = compiled(cluster_config())
    tasks = graph["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == {"pin-dataset", "train", "convert", "evaluate", "evaluate-test", "evaluate-test-2"}
    assert tasks["pin-dataset"]["inputs"]["parameters"]["address"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "ingest"}
    }
    from_ingest = [name for name, task in tasks.items() if "'ingest'" in str(task.get("inputs"))]
    assert sorted(from_ingest) == ["pin-dataset", "report"]
    nominee = tasks["evaluate-test-2"]["inputs"]["artifacts"]["candidate"]["taskOutputArtifact"]["producerTask"]
    assert nominee == "nominate"
    for name in cached - {"pin-dataset", "evaluate-test-2"} | {"for-loop-1"}:
        producers = {source["taskOutputArtifact"]["producerTask"] for source in tasks[name]["inputs"]["artifacts"].values()}
        assert "pin-dataset" in producers
        assert producers <= cached
    in_loop = graph["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert len(in_loop) == 6
    for name, task in in_loop.items():
        assert task["cachingOptions"]["enableCache"], name
        assert task["inputs"]["artifacts"]["dataset"] == {"componentInputArtifact": "pipelinechannel--pin-dataset-dataset"}


def test_no_loop_takes_the_output_parameter_of_a_task() -> None:
    """KFP's local runner would give each iteration the loop's item in its place."""
    graph, _ = compiled(cluster_config())
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


def _starve_loop(documents: Documents) -> None:
    del documents[0]["root"]["dag"]["tasks"]["for-loop-1"]["inputs"]["parameters"]["pipelinechannel--context"]
    del documents[0]["components"]["comp-for-loop-1"]["inputDefinitions"]["parameters"]["pipelinechannel--context"]


def _ask_by_parameter(container: dict[str, Any]) -> None:
    container["resources"]["resourceMemoryLimit"] = "{{$.inputs.parameters['pipelinechannel--memory']}}"


def _select_by_parameter(pod: dict[str, Any]) -> None:
    pod["nodeSelector"] = {"nodeSelectorJson": {"componentInputParameter": "pipelinechannel--node_selector"}}


def _drop_pod(documents: Documents) -> None:
    del documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (_remove("train"), "which is no task here"),
        (_rename_output("comp-benchmark"), "which it does not give"),
        (_change_container("exec-judge", lambda it: it["command"].append("python3 -m pip install edgepress")), "installs packages"),
        (_change_container("exec-judge", lambda it: it.update(image="registry.example.com/edgepress/evaluator:latest")), "by digest"),
        (_change_container("exec-train", _ask_by_parameter), "exec-train: resourceMemoryLimit is a parameter"),
        (_change_pod("exec-prune", _select_by_parameter), "exec-prune: nodeSelector.nodeSelectorJson is a parameter"),
        (_starve_loop, "comp-for-loop-1.prune.context refers to pipelinechannel--context, which its group does not take"),
        (_drop_pod, "exec-train has no settings of its pod"),
    ],
)
def test_reader_sees_damage(damage: Damage, finding: str) -> None:
    documents = compiled(cluster_config())
    damage(documents)
    assert any(finding in text for text in findings(*documents)), findings(*documents)


def test_settings_of_any_length_travel_by_their_digest(tmp_path: Path) -> None:
    config = cluster_config()
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"params": {"hidden": "x" * 200_000}})})
    assert findings(*written(config, tmp_path)) == []


def test_what_every_task_repeats_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    selector = {f"example.org/{number}": "x" * 63 for number in range(100)}
    config = cluster_config("digits", [f"resources.kubeflow.node_selector={selector}"])
    with pytest.raises(ConfigError, match=r"^resources\.kubeflow: node_selector, tolerations and labels take \d+ bytes, more than the"):
        written(config, tmp_path)
    assert not (tmp_path / "pipeline.yaml").exists()


def test_a_module_of_any_size_travels_by_its_digest(tmp_path: Path) -> None:
    module = tmp_path / "model.py"
    module.write_text("# " + "x" * 200_000)
    config = cluster_config()
    config = config.model_copy(update={"baseline": config.baseline.model_copy(update={"model": None, "module": str(module)})})
    graph, _ = written(config, tmp_path)
    parameters = graph["root"]["inputDefinitions"]["parameters"]
    digest = digest_file(module)
    assert parameters["module_digest"]["defaultValue"] == digest
    assert parameters["module_uri"]["defaultValue"].endswith(f"/inputs/{digest.removeprefix('sha256:')}/model.py")


@pytest.mark.parametrize("output", ["pipeline.json", "missing/pipeline.yaml"])
def test_output_that_cannot_be_written_is_wrong_input(output: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=output):
        write_with_parameters(cluster_config(), tmp_path / output, example_lock())
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
