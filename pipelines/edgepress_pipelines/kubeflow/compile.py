"""Compiling the pipeline for Kubeflow: the function that runs on a laptop, with a configuration's values as its parameters' defaults."""

import os
import tempfile
from pathlib import Path

from kfp import compiler

from edgepress.contracts.config import PipelineConfig
from edgepress.errors import InputError
from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.kubeflow.image_lock import ImageLock
from edgepress_pipelines.kubeflow.pod_settings import PodSettings
from edgepress_pipelines.kubeflow.run_parameters import run_parameters


def compile_pipeline(config: PipelineConfig, output: Path, lock: ImageLock) -> None:
    """Write the compiled pipeline, whole or not at all. Every parameter, the recipes too, can be given anew for each run.

    Args:
        config: its values become the parameters' defaults; ``resources.kubeflow`` also decides what pods ask for.
        output: a .yaml file.
        lock: the images that tasks run in.

    Raises:
        InputError: ``output`` is not a .yaml file that can be written.
        ConfigError: the configuration cannot run on a cluster, a file that it names is missing, or its parameters are too large.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"{output}: a compiled pipeline is a .yaml file; give such a name to -o")
    parameters = run_parameters(config)
    settings = config.resources.kubeflow
    build = BuildSettings(
        parallelism=settings.parallelism, pods=PodSettings(settings=settings, lock=lock), exit_handler=settings.exit_handler
    )
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
            written = Path(folder) / "pipeline.yaml"
            compiler.Compiler().compile(build_pipeline(build), str(written), pipeline_parameters=parameters)
            os.replace(written, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
