"""Pipeline versions in KFP, named by their content, so that the same content is there once."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api

from edgepress_pipelines.flow.pipeline_name import PIPELINE_DESCRIPTION, PIPELINE_NAME
from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.create_once import create_once
from edgepress_pipelines.kubeflow.api.listing import every, named
from edgepress_pipelines.kubeflow.compiled_pipeline import CompiledPipeline


@dataclass(frozen=True)
class PipelineVersion:
    """A version of the pipeline in KFP.

    Attributes:
        pipeline_id, version_id: what runs refer to.
        name: ``sha256-…``, from the compiled pipeline's content.
        is_new: False when the same content was there already.
    """

    pipeline_id: str
    version_id: str
    name: str
    is_new: bool


def upload_version(connection: Connection, pipeline: CompiledPipeline) -> PipelineVersion:
    """Upload a compiled pipeline unless the same content is there.

    Raises:
        KubeflowError: KFP cannot be reached, or refuses.
    """
    name = pipeline.version_name
    pipeline_id = _ensure_pipeline(connection)

    def find() -> Any:
        ask = connection.pipelines.pipeline_service_list_pipeline_versions
        return next(every(ask, "pipeline_versions", pipeline_id=pipeline_id, filter=named(name)), None)

    def create() -> Any:
        with tempfile.TemporaryDirectory(prefix="edgepress-") as folder:
            file = Path(folder) / "pipeline.yaml"  # the generated client sends files alone
            file.write_text(pipeline.text, encoding="utf-8")
            upload = connection.uploads.upload_pipeline_version
            return upload(str(file), name=name, pipelineid=pipeline_id, description=pipeline.description)

    found = find()
    version = found or create_once(create, find, connection.patience, connection.tell)
    return PipelineVersion(pipeline_id=pipeline_id, version_id=version.pipeline_version_id, name=name, is_new=found is None)


def _ensure_pipeline(connection: Connection) -> str:
    """The pipeline's identifier. Made without a version: one that is uploaded with it could not be named by its content."""

    def find() -> str | None:
        ask = connection.pipelines.pipeline_service_list_pipelines
        found = next(every(ask, "pipelines", filter=named(PIPELINE_NAME), namespace=connection.namespace), None)
        return found.pipeline_id if found is not None else None

    def create() -> str:
        wanted = kfp_server_api.V2beta1Pipeline(
            display_name=PIPELINE_NAME,
            namespace=connection.namespace,
            description=PIPELINE_DESCRIPTION,
        )
        identifier: str = connection.pipelines.pipeline_service_create_pipeline(wanted).pipeline_id
        return identifier

    return find() or create_once(create, find, connection.patience, connection.tell)
