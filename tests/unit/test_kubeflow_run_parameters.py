"""The parameters of a run on a cluster, and what of a configuration no cluster can run."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.kubeflow import DataVolume
from edgepress.errors import ConfigError
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.run_parameters import run_parameters

DIGITS = Path(__file__).parents[2] / "pipelines" / "edgepress_pipelines" / "configs" / "digits.yaml"


def config(*overrides: str) -> PipelineConfig:
    return load_config(
        DIGITS, ["resources.kubeflow.storage_uri=s3://pipelines/edgepress/", "release.uri=s3://pipelines/releases", *overrides]
    )


def with_source(source: str, volume: DataVolume | None = None) -> PipelineConfig:
    base = config()
    kubeflow = base.resources.kubeflow.model_copy(update={"data_volume": volume})
    changes: dict[str, Any] = {
        "dataset": base.dataset.model_copy(update={"source": source}),
        "resources": base.resources.model_copy(update={"kubeflow": kubeflow}),
    }
    return base.model_copy(update=changes)


def test_what_a_run_is_told_about_itself_and_not_about_its_pods() -> None:
    parameters = run_parameters(config(), fingerprint="sha256:abc")
    assert json.loads(str(parameters["context"])) == {"name": "digits", "storage": "s3://pipelines/edgepress"}
    assert parameters["fingerprint"] == "sha256:abc"
    larger = config("resources.kubeflow.node_selector={pool: gpu}", "resources.kubeflow.trainer={memory: 64Gi}")
    assert run_parameters(larger, fingerprint="sha256:abc") == parameters


def test_a_release_without_an_endpoint_takes_the_secret_s() -> None:
    settings = json.loads(str(run_parameters(config())["release_settings"]))
    assert settings["endpoint_url"] is None  # which open_store reads as AWS_ENDPOINT_URL_S3


@pytest.mark.parametrize("source", ["digits", "fashion-mnist", "s3://data/cats.npz"])
def test_data_that_every_pod_can_reach(source: str) -> None:
    assert json.loads(str(run_parameters(with_source(source))["dataset"]))["source"] == source


def test_data_on_the_volume() -> None:
    volume = DataVolume(claim_name="images", mount_path="/mnt/data")
    for source in ("/mnt/data/cats", "/mnt/data"):
        assert json.loads(str(run_parameters(with_source(source, volume))["dataset"]))["source"] == source
    with pytest.raises(ConfigError, match=r"dataset.source: /mnt/database/cats is not below /mnt/data, where pods have"):
        run_parameters(with_source("/mnt/database/cats", volume))


def test_data_on_this_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.source: /home/me/cats is on this machine, which no pod sees; give s3://bucket/"):
        run_parameters(with_source("/home/me/cats"))


def test_a_run_without_a_storage_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"resources.kubeflow.storage_uri: is not set"):
        run_parameters(load_config(DIGITS))


def test_a_release_goes_to_no_bucket_that_nobody_named() -> None:
    for overrides in ([], ["release.golden_examples=8"], ["release.endpoint_url=https://s3.example.org"]):
        loaded = load_config(DIGITS, ["resources.kubeflow.storage_uri=s3://pipelines/edgepress", *overrides])
        with pytest.raises(ConfigError, match=r"^release.uri: is not set; on a cluster a release goes to a bucket of yours, e.g. s3://"):
            run_parameters(loaded)


def test_a_configuration_may_name_data_on_a_volume_that_this_machine_lacks(tmp_path: Path) -> None:
    volume = "resources.kubeflow.data_volume={claim_name: images, mount_path: /mnt/nowhere-here}"
    loaded = config(volume, "dataset.source=/mnt/nowhere-here/cats.npz")
    assert loaded.dataset.source == "/mnt/nowhere-here/cats.npz"
    with pytest.raises(ConfigError, match=r"there is no /mnt/elsewhere/cats.npz"):
        config(volume, "dataset.source=/mnt/elsewhere/cats.npz")
