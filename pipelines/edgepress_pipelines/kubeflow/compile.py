"""Compiling the pipeline for Kubeflow: the function that runs on a laptop, dressed for pods."""

import tempfile
from pathlib import Path

from kfp import compiler

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress.device.files import write_atomically
from edgepress.errors import InputError
from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.flow.parameters import PipelineParameters
from edgepress_pipelines.kubeflow.compiled_pipeline import CompiledPipeline
from edgepress_pipelines.kubeflow.image_lock import ImageLock
from edgepress_pipelines.kubeflow.pod_settings import PodSettings, describe_pods
from edgepress_pipelines.kubeflow.run_parameters import run_parameters


def compile_pipeline(settings: KubeflowSettings, lock: ImageLock) -> CompiledPipeline:
    """The pipeline that runs of every configuration with these settings share.

    Args:
        settings: what pods get, and how many recipes run at a time.
        lock: the images that tasks run in.
    """
    return CompiledPipeline(text=_compile(settings, lock, {}), description=f"EdgePress, {describe_pods(settings)}")


def write_with_parameters(config: PipelineConfig, output: Path, lock: ImageLock) -> None:
    """Write a compiled pipeline that a configuration's values are in, as its parameters' defaults. The file is whole or not there.

    What the values only name is not put into the storage: the user's module, a local model to adopt, long settings.

    Args:
        config: the configuration.
        output: a .yaml file.
        lock: the images that tasks run in.

    Raises:
        InputError: ``output`` is not a .yaml file that can be written.
        ConfigError: the configuration cannot run on a cluster, a file that it names is missing, or its parameters are too large.
        StorageError: the store of ``baseline.from`` cannot be reached or refuses.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"{output}: a compiled pipeline is a .yaml file; give such a name to -o")
    text = _compile(config.resources.kubeflow, lock, run_parameters(config))
    try:
        write_atomically(output, text)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error


def _compile(settings: KubeflowSettings, lock: ImageLock, defaults: PipelineParameters) -> str:
    build = BuildSettings(
        parallelism=settings.parallelism, pods=PodSettings(settings=settings, lock=lock), exit_handler=settings.exit_handler
    )
    with tempfile.TemporaryDirectory(prefix="edgepress-") as folder:
        written = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(build_pipeline(build), str(written), pipeline_parameters=dict(defaults))
        return written.read_text(encoding="utf-8")
