"""Starting a run on KFP, once."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import kfp_server_api

from edgepress.contracts.config import PipelineConfig
from edgepress_pipelines.kubeflow.connection import Connection
from edgepress_pipelines.kubeflow.experiments import ensure_experiment
from edgepress_pipelines.kubeflow.listing import every, named
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.transport import create_once
from edgepress_pipelines.kubeflow.upload import PipelineVersion, upload_version


@dataclass(frozen=True)
class SubmittedRun:
    """A run that KFP has accepted.

    Attributes:
        run_id: KFP's identifier, also the name of the run's folder.
        name: how KFP lists it.
        url: its page in KFP's user interface.
        version: of the pipeline that it runs.
    """

    run_id: str
    name: str
    url: str
    version: PipelineVersion


def submit_run(config: PipelineConfig, connection: Connection, package: Package) -> SubmittedRun:
    """Upload the pipeline when its content is new, and start one run of it. ``preflight.check_run`` comes first.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses; no run has been started, unless the message says that an answer was lost.
    """
    settings = config.resources.kubeflow
    version = upload_version(connection, package.pipeline, f"EdgePress: {config.name}")
    experiment_id = ensure_experiment(connection, settings.experiment)
    name = _new_name(config.name)
    wanted = kfp_server_api.V2beta1Run(
        display_name=name,
        experiment_id=experiment_id,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=package.parameters),
        service_account=settings.service_account,
    )

    def create() -> Any:
        return connection.runs.run_service_create_run(wanted)

    def find() -> Any:
        return next(every(connection.runs.run_service_list_runs, "runs", experiment_id=experiment_id, filter=named(name)), None)

    run = create_once(create, find, connection.patience)
    return SubmittedRun(run_id=run.run_id, name=name, url=connection.run_url(run.run_id), version=version)


def _new_name(pipeline: str) -> str:
    """A name that no other run has, so that a run whose answer was lost can be found: KFP itself takes the same name twice."""
    return f"{pipeline} {time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
