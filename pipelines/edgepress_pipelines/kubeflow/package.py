"""From a configuration to what KFP is given: the compiled pipeline, and the parameters of one run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress_pipelines.parameters import PipelineParameters


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
def compiled(config: PipelineConfig) -> Iterator[Package]:
    """Compile for a cluster, for as long as the context lasts.

    Raises:
        InputError: the configuration cannot run on a cluster.
    """
    from edgepress_pipelines.baseline_source import source_digest
    from edgepress_pipelines.compile import compile_pipeline
    from edgepress_pipelines.parameters import pipeline_parameters, read_module

    with tempfile.TemporaryDirectory(prefix="edgepress-") as folder:
        pipeline = Path(folder) / "pipeline.yaml"
        compile_pipeline(config, pipeline)
        parameters = pipeline_parameters(
            config,
            storage=config.resources.kubeflow.storage_uri or "",
            data_root="",
            module_source=read_module(config),
            source_digest=source_digest(config),
        )
        yield Package(pipeline=pipeline, parameters=parameters)
