"""The commands that talk to Kubeflow Pipelines: ``submit`` and ``upload`` here, ``schedule …`` and ``runs …`` beside."""

from typing import Annotated

import typer

from edgepress_pipelines.commands.arguments import (
    DEFAULT_IMAGES,
    DEFAULT_WORKDIR,
    ImagesOption,
    PlainOption,
    WorkdirOption,
    make_console,
)
from edgepress_pipelines.commands.kubeflow_options import ClusterOptions, ConfigOptions, ConnectionOptions, repeated_options, tell
from edgepress_pipelines.commands.option_groups import takes_groups
from edgepress_pipelines.commands.runs import follow_to_end, runs
from edgepress_pipelines.commands.schedule import schedule
from edgepress_pipelines.flow.pipeline_name import PIPELINE_NAME


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(submit)
    app.command()(upload)
    app.add_typer(schedule, name="schedule")
    app.add_typer(runs, name="runs")


@takes_groups
def submit(
    *,
    context: typer.Context,
    given: ConfigOptions,
    images: ImagesOption = DEFAULT_IMAGES,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end and fetch its results.")] = False,
    workdir: WorkdirOption = DEFAULT_WORKDIR,
    plain: PlainOption = False,
    kubeflow: ConnectionOptions,
    cluster: ClusterOptions,
) -> None:
    """Start a run on Kubeflow.

    Exit codes: 0 started, 2 the input is wrong and nothing was started, 1 anything else. With --wait those of `run`: 0 released,
    10 rejected, 11 inconclusive, 2 the input is wrong, which may also be a task's word, 1 anything else.
    """
    settings, lock = given.load_with_images(images)
    connection = kubeflow.connect()
    console = make_console()

    from edgepress_pipelines.flow.workdir import Workdir
    from edgepress_pipelines.kubeflow.compile import compile_pipeline
    from edgepress_pipelines.kubeflow.package import pack
    from edgepress_pipelines.kubeflow.preflight import check_before_start
    from edgepress_pipelines.kubeflow.runs.submit import submit_run
    from edgepress_pipelines.trigger.fingerprint import digest_dataset, is_on_data_volume, take_fingerprint

    check_before_start(settings, connection, cluster.check(), tell)
    if wait:
        Workdir(workdir)  # what is wrong with it is told before anything is started
    pipeline = compile_pipeline(settings.resources.kubeflow, lock)
    dataset = None if is_on_data_volume(settings) else digest_dataset(settings)
    fingerprint = take_fingerprint(settings, pipeline.digest, dataset=dataset)
    submitted = submit_run(settings, connection, pack(settings, pipeline, fingerprint))
    typer.echo(f"run {submitted.run_id} ({submitted.name})\n{submitted.url}")
    if wait:
        follow_to_end(console, connection, submitted.run_id, workdir, plain, repeated_options(context, connection))


@takes_groups
def upload(
    *,
    given: ConfigOptions,
    images: ImagesOption = DEFAULT_IMAGES,
    kubeflow: ConnectionOptions,
) -> None:
    """Upload the compiled pipeline as a version named by its content, unless it is there.

    No value of the configuration is in it but what pods ask for: a run started from Kubeflow's own page asks for its parameters.
    """
    settings, lock = given.load_with_images(images)
    connection = kubeflow.connect()

    from edgepress_pipelines.kubeflow.compile import compile_pipeline
    from edgepress_pipelines.kubeflow.preflight import check_backend
    from edgepress_pipelines.kubeflow.run_parameters import check_cluster_config
    from edgepress_pipelines.kubeflow.upload import upload_version

    check_cluster_config(settings)
    check_backend(connection, settings.resources.kubeflow.namespace)
    version = upload_version(connection, compile_pipeline(settings.resources.kubeflow, lock))
    typer.echo(f"{PIPELINE_NAME} {version.name}: {'uploaded' if version.is_new else 'there already, nothing uploaded'}")
