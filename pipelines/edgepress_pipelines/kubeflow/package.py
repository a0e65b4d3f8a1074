"""What KFP is given for a configuration: a compiled pipeline, which others may share, and the parameters of its runs."""

from dataclasses import dataclass

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.last_verdict import Fingerprint
from edgepress_pipelines.flow.parameters import PipelineParameters
from edgepress_pipelines.kubeflow.compiled_pipeline import CompiledPipeline
from edgepress_pipelines.kubeflow.run_parameters import run_parameters


@dataclass(frozen=True)
class Package:
    """What is uploaded and started.

    Attributes:
        pipeline: uploaded once, however many configurations run on it.
        parameters: of a run.
    """

    pipeline: CompiledPipeline
    parameters: PipelineParameters


def pack(config: PipelineConfig, pipeline: CompiledPipeline, fingerprint: Fingerprint) -> Package:
    """Put what a run takes along from this machine into its storage, and name it in the run's parameters.

    Args:
        config: the configuration.
        pipeline: compiled for it.
        fingerprint: what the run is computed from; ends up beside its verdict.

    Raises:
        InputError: the configuration cannot run on a cluster.
        StorageError: the run's object store cannot be reached or refuses.
    """
    return Package(pipeline=pipeline, parameters=run_parameters(config, fingerprint=fingerprint.as_parameter(), upload=True))
