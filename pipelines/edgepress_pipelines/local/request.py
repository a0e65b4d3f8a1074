"""What the command and the engine's process tell each other beside events, as files of the run's folder. KFP is not imported."""

from edgepress.contracts.strict import StrictModel
from edgepress_pipelines.flow.parameters import PipelineParameters

REQUEST_NAME = "request.json"
PIPELINE_NAME = "pipeline.json"
"""The pipeline as the engine compiled it, a KFP ``PipelineSpec``: written whole before the first task begins."""


class EngineRequest(StrictModel):
    """What the engine is asked to run.

    Attributes:
        run_id: of the run's folder.
        parameters: arguments of the pipeline function.
        parallelism: recipes at the same time.
        artifact_root: where this run's tasks write.
        cache_root: the cache's entries, shared by all runs of a working directory.
    """

    run_id: str
    parameters: PipelineParameters
    parallelism: int
    artifact_root: str
    cache_root: str
