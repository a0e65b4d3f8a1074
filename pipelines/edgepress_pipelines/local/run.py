"""Running the pipeline on this machine, on KFP's local runner."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.release import MANIFEST_NAME
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.storage import is_local, join_key, open_store
from edgepress.storage.embedded import EmbeddedStore
from edgepress_pipelines.flow.inputs import place_inputs
from edgepress_pipelines.flow.listener import RunListener
from edgepress_pipelines.flow.outcome import RunOutcome, explain_failure, judged, published_uri
from edgepress_pipelines.flow.parameters import pipeline_parameters
from edgepress_pipelines.flow.plan import plan_tasks
from edgepress_pipelines.flow.progress import RunProgress
from edgepress_pipelines.flow.workdir import Workdir
from edgepress_pipelines.local.engine_process import ENGINE_LOG_NAME, EngineProcess
from edgepress_pipelines.local.request import EngineRequest


def run_locally(config: PipelineConfig, workdir_path: Path, listener: RunListener) -> RunOutcome:
    """Run the pipeline and fill the run's folder.

    Raises:
        InputError: something given is wrong; found before any task has started.
        StorageError: an object store that the run needs cannot be reached or refuses; found before any task has started.
        KeyboardInterrupt: interrupted; every child has been ended, and a second run goes on from what is finished.
    """
    workdir = Workdir(workdir_path)
    _reach_dataset(config.dataset.source)
    with workdir.exclusive(), _release_store(config, workdir) as (config, environment):
        inputs = place_inputs(config, str(workdir.path))
        run_dir = workdir.new_run()
        request = EngineRequest(
            run_id=run_dir.name,
            parameters=pipeline_parameters(
                config,
                storage=str(workdir.path),
                inputs=inputs,
                place=True,
            ),
            parallelism=config.resources.parallelism,
            artifact_root=str(workdir.artifacts / run_dir.name),
            cache_root=str(workdir.cache),
        )
        return _follow(request, workdir, run_dir, environment, listener)


def _follow(request: EngineRequest, workdir: Workdir, run_dir: Path, environment: Mapping[str, str], listener: RunListener) -> RunOutcome:
    listener.run_started(run_dir.name, str(run_dir / "logs"))
    with EngineProcess(request, run_dir, environment) as engine:
        pipeline = engine.pipeline()
        tasks = plan_tasks(pipeline, request.parameters) if pipeline is not None else []
        if tasks:
            listener.run_planned(tasks)
        progress = RunProgress(tasks)
        for event in engine.events():
            if event is not None:
                for told in progress.events(event):
                    listener.task_event(told)
        exit_status = engine.exit_status
    artifacts = Path(request.artifact_root)
    summary = _output(artifacts, "report", "summary", VERDICT_NAME)
    bundle = _output(artifacts, "release", "bundle", MANIFEST_NAME)
    verdict = None
    if summary is not None:
        workdir.complete(run_dir, summary, bundle)
        verdict = read_verdict(run_dir)
    if exit_status != 0 or verdict is None:
        otherwise = f"the engine ended with status {exit_status}; see {run_dir / 'logs' / ENGINE_LOG_NAME}"
        message, exit_code = explain_failure(progress, otherwise, see=str(run_dir / "logs"))
        return RunOutcome(verdict=verdict, run_dir=run_dir, exit_code=exit_code, published_uri=published_uri(run_dir), message=message)
    return judged(verdict, run_dir)


def _output(artifacts: Path, task: str, name: str, marker: str) -> Path | None:
    """A task's output directory in this run, complete as its marker file says."""
    return next((path.parent for path in artifacts.glob(f"*/{task}*/{name}/{marker}")), None)


def _reach_dataset(source: str) -> None:
    """Ask an object store once for the data: the task that reads it would wait for a store that is away."""
    if not is_local(source):
        store, key = open_store(source)
        store.exists(key)


@contextmanager
def _release_store(config: PipelineConfig, workdir: Workdir) -> Iterator[tuple[PipelineConfig, Mapping[str, str]]]:
    """The configuration with the endpoint that the release goes to, and the variables with its credentials.

    Without a configured endpoint the embedded store runs for as long as the run. A configured one is tried now: a run of an hour must not
    end at a wrong password.
    """
    if config.release.endpoint_url is not None:
        store, prefix = open_store(config.release.uri, config.release.endpoint_url)
        store.list_keys(f"{join_key(prefix, config.name)}/")
        yield config, {}
        return
    with EmbeddedStore(workdir.store) as embedded:
        release = config.release.model_copy(update={"endpoint_url": embedded.endpoint_url})
        yield config.model_copy(update={"release": release}), embedded.scoped_environment
