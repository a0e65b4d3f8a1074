"""A configuration for a cluster, the store that its runs write to, and what a run's tasks would write there."""

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.kubeflow import KubeflowSettings
from edgepress.contracts.release import PUBLISHED_NAME
from edgepress.contracts.run import event_key, run_key
from edgepress.storage import join_key, open_store
from edgepress.task import TaskEvent
from edgepress_pipelines.config.file import load_config
from edgepress_pipelines.kubeflow.api.connection import Connection, ConnectionSettings
from edgepress_pipelines.kubeflow.api.errors import KubeflowError
from edgepress_pipelines.kubeflow.api.experiments import find_experiment
from edgepress_pipelines.kubeflow.api.transport import Patience
from edgepress_pipelines.kubeflow.compile import compile_pipeline
from edgepress_pipelines.kubeflow.compiled_pipeline import CompiledPipeline
from edgepress_pipelines.kubeflow.package import Package, pack
from edgepress_pipelines.trigger.fingerprint import take_fingerprint
from tests.kfp_api.server import KfpServer
from tests.pipelines.cluster_configs import example_lock
from tests.unit.sample_release import published_as
from tests.unit.sample_verdict import verdict_of

QUICK = Patience(connect_timeout_s=60, read_timeout_s=60, late_effect_s=0.02, settle_s=0.01, attempts=4, first_delay_s=0.01)
"""Does not keep a test waiting."""
STORAGE = "s3://runs-bucket/edgepress"
PUBLISHED_URI = "s3://edgepress-releases/digits/0123"
"""Where the release of a run that passed was published."""


def write_config(folder: Path, **changes: Any) -> Path:
    """Write a configuration; ``changes`` replace its top-level keys."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "name": "digits",
        "dataset": {"source": "digits"},
        "baseline": {"model": "mlp", "params": {"hidden": [16]}, "train": {"epochs": 1}},
        "recipes": [{"recipe": "int8", "convert": {"quantization": "int8"}}, {"recipe": "float16", "convert": {"quantization": "float16"}}],
        "gate": {"accuracy": {"max_drop": 0.02}},
        "release": {"uri": "s3://edgepress-releases"},
        "resources": {"kubeflow": {"storage_uri": STORAGE}},
        "schedule": {"cron": "0 3 * * 7", "catch_up": True},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    return path


def read_config(folder: Path, **changes: Any) -> PipelineConfig:
    """The same as a configuration."""
    return load_config(write_config(folder, **changes))


@functools.cache
def _compiled(settings_json: str) -> CompiledPipeline:
    return compile_pipeline(KubeflowSettings.model_validate_json(settings_json), example_lock())


def package_of(config: PipelineConfig) -> Package:
    """What is submitted for a configuration; pipelines are compiled once for all tests of this process."""
    pipeline = _compiled(config.resources.kubeflow.model_dump_json())
    return pack(config, pipeline, take_fingerprint(config, pipeline.digest))


def connect(kfp: KfpServer, **settings: Any) -> Connection:
    """A connection that is not patient."""
    return Connection(ConnectionSettings(host=kfp.url, **{"patience": QUICK, **settings}))


def refusal(connection: Connection) -> KubeflowError:
    """The error, of one line, that asking for something ends with."""
    with pytest.raises(KubeflowError) as raised:
        find_experiment(connection, "any")
    assert "\n" not in str(raised.value)
    return raised.value


class RunOnCluster:
    """Writes what the tasks of a run write into its folder.

    Args:
        storage_uri: of the configuration.
        run_id: KFP's identifier.
    """

    def __init__(self, storage_uri: str, run_id: str) -> None:
        self._store, prefix = open_store(storage_uri)
        self._key = join_key(prefix, run_key(run_id))

    def write(self, name: str, content: bytes) -> None:
        """A file of the run's folder."""
        self._store.put_bytes(f"{self._key}/{name}", content)

    def event(
        self,
        task: str,
        recipe: str | None,
        state: Any,
        at_s: float,
        message: str | None = None,
        exit_code: int | None = None,
        began_s: float = 1.0,
    ) -> None:
        """A task's event, of the attempt that began then."""
        event = TaskEvent(task=task, recipe=recipe, state=state, unix_time_s=at_s, message=message, exit_code=exit_code)
        self.write(event_key(event, began_s), event.model_dump_json().encode())

    def finish(self, kind: str) -> None:
        """Events of a whole run, its results, and a verdict (``passed``, ``rejected`` or ``none``); what passed is published."""
        for at_s, (task, recipe) in enumerate((("ingest", None), ("train", "baseline"), ("convert", "int8"), ("report", None)), start=1):
            self.event(task, recipe, "started", at_s)
            self.event(task, recipe, "succeeded", at_s + 0.5)
        self.write("report.html", b"<html>report</html>")
        self.write("leaderboard.csv", b"recipe\n")
        self.write("models/int8.tflite", b"TFL3")
        self.write("logs/train.baseline.log", b"epoch 1 of 1\n")
        if kind == "passed":
            self.write(PUBLISHED_NAME, published_as(PUBLISHED_URI).model_dump_json().encode())
        self.write("verdict.json", verdict_of(kind).model_dump_json(by_alias=True).encode())
