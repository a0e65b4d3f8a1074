"""The digest of a compiled pipeline: it changes with whatever this machine compiles into it, and not with the registry of its images."""

from collections.abc import Callable
from typing import Any

import pytest

from edgepress.contracts.kubeflow import Accelerator, DataVolume, KubeflowSettings, TaskResources, Toleration
from edgepress_pipelines import compress_and_release
from edgepress_pipelines.kubeflow.compile import compile_pipeline
from edgepress_pipelines.kubeflow.compiled_pipeline import CompiledPipeline
from edgepress_pipelines.kubeflow.image_lock import TASK_IMAGES, ImageLock
from tests.pipelines.cluster_configs import EXAMPLE_LOCK


def lock(registry: str = "registry.example.org/ml", **changed: str) -> ImageLock:
    numbers = dict.fromkeys((*TASK_IMAGES, "edgepress/agent"), "1") | {f"edgepress/{name}": number for name, number in changed.items()}
    return ImageLock(EXAMPLE_LOCK, {name: f"{registry}/{name}@sha256:{number * 64}" for name, number in numbers.items()})


def compiled(with_lock: ImageLock | None = None, **settings: Any) -> CompiledPipeline:
    return compile_pipeline(KubeflowSettings(**settings), with_lock or lock())


@pytest.fixture(scope="module")
def before() -> CompiledPipeline:
    return compiled()


def test_the_same_is_the_same(before: CompiledPipeline) -> None:
    elsewhere: dict[str, Any] = {
        "storage_uri": "s3://elsewhere/runs",
        "namespace": "team",
        "experiment": "other",
        "service_account": "runner",
    }
    again = compiled(**elsewhere)
    assert (again.digest, again.version_name) == (before.digest, before.version_name)


@pytest.mark.parametrize(
    "settings",
    [
        {"trainer": TaskResources(cpu="2", memory="8Gi")},
        {"evaluator": TaskResources(cpu="2")},
        {"evaluator": TaskResources(timeout_s=60)},
        {"releaser": TaskResources(cpu="500m", memory="1Gi", accelerator=Accelerator(type="nvidia.com/gpu"))},
        {"node_selector": {"hardware": "pi5"}},
        {"tolerations": (Toleration(operator="Exists"),)},
        {"labels": {"team": "pets"}},
        {"credentials_secret": "other"},
        {"settings_config_map": "other"},
        {"data_volume": DataVolume(claim_name="pets")},
        {"parallelism": 2},
        {"exit_handler": True},
    ],
)
def test_what_pods_get_counts(before: CompiledPipeline, settings: dict[str, Any]) -> None:
    other = compiled(**settings)
    assert other.digest != before.digest
    assert other.version_name != before.version_name


def test_images_count_wherever_they_are_pulled_from(before: CompiledPipeline) -> None:
    mirror = compiled(lock("mirror.example.org"))
    assert mirror.digest == before.digest
    assert mirror.version_name != before.version_name  # its pods pull from elsewhere
    assert compiled(lock(agent="9")).digest == before.digest
    changed = (lock(trainer="9"), lock(evaluator="9"), lock(releaser="9"))
    assert len({compiled(each).digest for each in changed} | {before.digest}) == 4


def _another_kfp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp.__version__", "2.99.0")


def _another_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    container = compress_and_release.train.component_spec.implementation.container  # type: ignore[attr-defined]
    monkeypatch.setattr(container, "command", [*container.command, "# edited"])


def _another_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compress_and_release, "PIPELINE_DESCRIPTION", "another")


@pytest.mark.parametrize("change", [_another_kfp, _another_declaration, _another_graph])
def test_what_this_machine_compiles_counts(
    before: CompiledPipeline, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch)
    assert compiled().digest != before.digest
