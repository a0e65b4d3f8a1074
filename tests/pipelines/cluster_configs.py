"""Configurations for a cluster, the example image lock, and pipelines compiled from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from edgepress.contracts.config import PipelineConfig
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.compile import compile_pipeline, write_with_parameters
from edgepress_pipelines.kubeflow.image_lock import ImageLock, read_image_lock

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "pipelines" / "edgepress_pipelines" / "configs"
EXAMPLE_LOCK = REPOSITORY / "manifests" / "images" / "lock.example" / "kustomization.yaml"
STORAGE = "resources.kubeflow.storage_uri=s3://pipelines/edgepress"
RELEASES = "release.uri=s3://pipelines/releases"

Documents = tuple[dict[str, Any], dict[str, Any]]
"""A compiled file's two documents: the graph, and what pods get."""


def cluster_config(name: str = "digits", overrides: Sequence[str] = ()) -> PipelineConfig:
    """A bundled configuration, with the places that a cluster needs."""
    return load_config(CONFIGS / f"{name}.yaml", [STORAGE, RELEASES, *overrides])


def example_lock() -> ImageLock:
    """The committed lock, whose digests are of nothing."""
    return read_image_lock(EXAMPLE_LOCK)


def compiled(config: PipelineConfig) -> Documents:
    """The pipeline that is uploaded for a configuration."""
    return _read(compile_pipeline(config.resources.kubeflow, example_lock()).text)


def written(config: PipelineConfig, folder: Path) -> Documents:
    """The file that ``edgepress compile`` writes, with the configuration's values, read back from a folder."""
    output = folder / "pipeline.yaml"
    write_with_parameters(config, output, example_lock())
    return _read(output.read_text())


def _read(text: str) -> Documents:
    graph, platforms = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return graph, platforms
