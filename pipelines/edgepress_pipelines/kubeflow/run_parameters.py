"""The parameters of a run on a cluster, and what of a configuration cannot work there."""

import json
from pathlib import PurePosixPath

from edgepress.contracts.config import BUILTIN_SOURCES, PipelineConfig
from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress.errors import ConfigError
from edgepress_pipelines.flow.inputs import locate_inputs, place_inputs
from edgepress_pipelines.flow.parameters import PipelineParameters, pipeline_parameters

MAX_POD_BYTES = 8_000
"""What selectors, tolerations and labels of a pod may take as JSON. Each of some twenty tasks repeats them in the run's Workflow object,
which with everything else in it may have 1 MiB (Argo without node offloading)."""


def run_parameters(config: PipelineConfig, *, fingerprint: str = "", upload: bool = False) -> PipelineParameters:
    """The arguments of ``compress_and_release`` for a run on a cluster.

    Args:
        config: the configuration.
        fingerprint: of what the run follows from; ends up beside its verdict.
        upload: also put the user's module, a local model to adopt and long settings where the parameters say that they are, as a run
            needs.

    Raises:
        ConfigError: it cannot run on a cluster, see ``check_cluster_config``; or it is too large for parameters.
        StorageError: a store that has to be read or written cannot be reached or refuses.
    """
    storage = check_cluster_config(config)
    inputs = place_inputs(config, storage) if upload else locate_inputs(config, storage)
    return pipeline_parameters(config, storage=storage, inputs=inputs, place=upload, fingerprint=fingerprint)


def check_cluster_config(config: PipelineConfig) -> str:
    """Refuse what no cluster can run, and give the storage.

    ``release.endpoint_url`` may be left out: it then comes from the Secret's AWS_ENDPOINT_URL_S3, else Amazon's own store is meant.

    Raises:
        ConfigError: there is no storage, no place for releases is named, the data is in a place that pods do not see, or what is said of
            each pod is too long.
    """
    settings = config.resources.kubeflow
    if settings.storage_uri is None:
        raise ConfigError(
            "resources.kubeflow.storage_uri: is not set; a run on a cluster keeps its data and results in an object store, "
            "e.g. s3://my-bucket/edgepress"
        )
    if "uri" not in config.release.model_fields_set:  # its default is a bucket of the embedded store, which no cluster has
        raise ConfigError("release.uri: is not set; on a cluster a release goes to a bucket of yours, e.g. s3://my-bucket/releases")
    source = config.dataset.source
    if source not in BUILTIN_SOURCES and not source.startswith("s3://"):
        volume = settings.data_volume
        if volume is None:
            raise ConfigError(
                f"dataset.source: {source} is on this machine, which no pod sees; give s3://bucket/..., or a path below "
                "resources.kubeflow.data_volume"
            )
        if not PurePosixPath(source).is_relative_to(volume.mount_path):
            raise ConfigError(
                f"dataset.source: {source} is not below {volume.mount_path}, where pods have resources.kubeflow.data_volume; move it there "
                "or give s3://bucket/..."
            )
    _check_size(settings)
    return settings.storage_uri.rstrip("/")


def _check_size(settings: KubeflowSettings) -> None:
    repeated = settings.model_dump(mode="json", include={"node_selector", "tolerations", "labels"}, exclude_none=True)
    size_bytes = len(json.dumps(repeated).encode())
    if size_bytes > MAX_POD_BYTES:
        raise ConfigError(
            f"resources.kubeflow: node_selector, tolerations and labels take {size_bytes} bytes, more than the {MAX_POD_BYTES} that fit "
            "when each task repeats them; shorten them"
        )
