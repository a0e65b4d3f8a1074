"""Starting a run on KFP: first everything that takes time, then one request."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import kfp_server_api

from edgepress.contracts.config import PipelineConfig
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.create_once import create_once
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.experiments import ensure_experiment
from edgepress_pipelines.kubeflow.api.listing import every, named
from edgepress_pipelines.kubeflow.package import Package
from edgepress_pipelines.kubeflow.upload import upload_version


@dataclass(frozen=True)
class PreparedRun:
    """A run that one request starts: whatever it refers to is in KFP.

    Attributes:
        name: how KFP will list it; no other run has it.
        experiment_id: that it is listed under.
        request: its body, a ``V2beta1Run``.
    """

    name: str
    experiment_id: str
    request: Any


@dataclass(frozen=True)
class SubmittedRun:
    """A run that KFP has accepted.

    Attributes:
        run_id: KFP's identifier, also the name of the run's folder.
        name: how KFP lists it.
        url: its page in KFP's user interface.
    """

    run_id: str
    name: str
    url: str


def prepare_run(config: PipelineConfig, connection: Connection, package: Package) -> PreparedRun:
    """Upload the pipeline when its content is new, and see to the experiment; no run is started. ``preflight.check_run`` comes first.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
    """
    settings = config.resources.kubeflow
    version = upload_version(connection, package.pipeline)
    experiment_id = ensure_experiment(connection, settings.experiment)
    name = _new_name(config.name)
    request = kfp_server_api.V2beta1Run(
        display_name=name,
        experiment_id=experiment_id,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=package.parameters),
        service_account=settings.service_account,
    )
    return PreparedRun(name=name, experiment_id=experiment_id, request=request)


def create_run(prepared: PreparedRun, connection: Connection) -> SubmittedRun:
    """Start a prepared run, with one request unless an answer is lost; see ``create_once``.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses, or the user interrupts. No run has been started, unless ``may_have_acted``: then
            it is not known.
    """

    def create() -> Any:
        return connection.runs.run_service_create_run(prepared.request)

    def find() -> Any:
        ask = connection.runs.run_service_list_runs
        return next(every(ask, "runs", experiment_id=prepared.experiment_id, filter=named(prepared.name)), None)

    try:
        run = create_once(create, find, connection.patience, connection.tell)
    except KeyboardInterrupt:
        raise KubeflowError(
            f"interrupted; a run named '{prepared.name}' may have been started; `edgepress runs list` shows it", may_have_acted=True
        ) from None
    return SubmittedRun(run_id=run.run_id, name=prepared.name, url=connection.run_url(run.run_id))


def submit_run(config: PipelineConfig, connection: Connection, package: Package) -> SubmittedRun:
    """Prepare a run and start it.

    Raises:
        KubeflowError: as ``prepare_run`` and ``create_run``.
    """
    return create_run(prepare_run(config, connection, package), connection)


def _new_name(pipeline: str) -> str:
    """A name that no other run has, so that a run whose answer was lost can be found: KFP itself takes the same name twice."""
    return f"{pipeline} {time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
