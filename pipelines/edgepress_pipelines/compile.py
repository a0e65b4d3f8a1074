"""Compiling the pipeline for Kubeflow: the function that runs on a laptop, with a configuration's values as its parameters' defaults."""

import os
import tempfile
from pathlib import Path

from kfp import compiler

from edgepress.contracts.config import PipelineConfig
from edgepress.errors import InputError
from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.parameters import pipeline_parameters
from edgepress_pipelines.run_inputs import locate_inputs

STORAGE_MOUNT = "/mnt/edgepress"
"""Where a cluster mounts the volume of what outlives a run; a run may name another place."""


def compile_pipeline(config: PipelineConfig, output: Path) -> None:
    """Write the compiled pipeline, whole or not at all. Every parameter, the recipes too, can be given anew for each run.

    Raises:
        InputError: ``output`` is not a .yaml file that can be written.
        ConfigError: a file that the configuration names is missing, or its parameters are too large.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"{output}: a compiled pipeline is a .yaml file; give such a name to -o")
    parameters = pipeline_parameters(config, storage=STORAGE_MOUNT, data_root="", inputs=locate_inputs(config, STORAGE_MOUNT))
    pipeline = build_pipeline(BuildSettings(parallelism=config.resources.parallelism))
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
            written = Path(folder) / "pipeline.yaml"
            compiler.Compiler().compile(pipeline, str(written), pipeline_parameters=parameters)
            os.replace(written, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
