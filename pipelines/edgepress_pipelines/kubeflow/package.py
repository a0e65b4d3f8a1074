"""From a configuration to what KFP is given: the compiled pipeline, and the parameters of one run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.flow.parameters import PipelineParameters
from edgepress_pipelines.kubeflow.image_lock import ImageLock
from edgepress_pipelines.kubeflow.run_parameters import run_parameters


@dataclass(frozen=True)
class Package:
    """What is uploaded and started.

    Attributes:
        pipeline: the compiled pipeline, a ``.yaml`` file.
        parameters: of a run.
    """

    pipeline: Path
    parameters: PipelineParameters


@contextmanager
def compiled(config: PipelineConfig, lock: ImageLock, fingerprint: Fingerprint) -> Iterator[Package]:
    """Compile for a cluster, for as long as the context lasts, and upload what a run takes along from this machine.

    Args:
        config: the configuration.
        lock: the images that tasks run in, by digest.
        fingerprint: what the run is computed from; ends up beside its verdict.

    Raises:
        InputError: the configuration cannot run on a cluster.
        StorageError: the run's object store cannot be reached or refuses.
    """
    with compiled_pipeline(config, lock) as pipeline:
        yield Package(pipeline=pipeline, parameters=run_parameters(config, fingerprint=fingerprint.as_parameter(), upload=True))


@contextmanager
def compiled_pipeline(config: PipelineConfig, lock: ImageLock) -> Iterator[Path]:
    """The compiled pipeline alone, as a ``.yaml`` file that is there for as long as the context lasts.

    Raises:
        InputError: the configuration cannot run on a cluster.
    """
    from edgepress_pipelines.kubeflow.compile import compile_pipeline  # imports KFP's compiler, which takes a second

    with tempfile.TemporaryDirectory(prefix="edgepress-") as folder:
        pipeline = Path(folder) / "pipeline.yaml"
        compile_pipeline(config, pipeline, lock)
        yield pipeline
