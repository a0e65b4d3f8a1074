"""The exit handler's step: every way a run can end is recorded where the run's results are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepress import telemetry
from edgepress.contracts.run import FINISHED_NAME, RunEnd
from edgepress.finish.step import finish
from edgepress.observe.telling import listening
from edgepress.storage import open_store
from edgepress.storage.embedded import EmbeddedStore
from tests.unit.store_environment import only


@pytest.mark.parametrize(
    ("engine_state", "state"),
    [
        ("COMPLETE", "succeeded"),
        ("SUCCEEDED", "succeeded"),
        ("CACHED", "succeeded"),
        ("FAILED", "failed"),
        ("CANCELED", "stopped"),
        ("CANCELLED", "stopped"),
        ("RUNNING", "unknown"),
        ("", "unknown"),
    ],
)
def test_kfp_s_word_for_the_end(engine_state: str, state: str, tmp_path: Path) -> None:
    finish(name="demo", run_id="run-1", engine_state=engine_state, storage=str(tmp_path))
    end = RunEnd.model_validate_json((tmp_path / "runs" / "run-1" / FINISHED_NAME).read_bytes())
    assert (end.name, end.run_id, end.state, end.engine_state, end.message) == ("demo", "run-1", state, engine_state, None)


@pytest.mark.parametrize(("engine_state", "succeeded"), [("COMPLETE", [1.0]), ("FAILED", [0.0]), ("CANCELED", []), ("RUNNING", [])])
def test_a_run_that_somebody_stopped_neither_succeeded_nor_failed(engine_state: str, succeeded: list[float], tmp_path: Path) -> None:
    with listening() as told:
        finish(name="demo", run_id="run-1", engine_state=engine_state, storage=str(tmp_path))
    assert [figure.value for figure in told.figures if figure.metric == telemetry.RUN_SUCCEEDED] == succeeded
    assert [figure.metric for figure in told.figures].count(telemetry.RUN_LAST_COMPLETION) == 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "store") as store, only(store.environment):
        yield store


def test_the_record_is_in_the_store_of_the_run(store: EmbeddedStore) -> None:
    finish(name="demo", run_id="run-1", engine_state="FAILED", storage="s3://bucket/edgepress", message="train: out of memory")
    objects, _ = open_store("s3://bucket")
    end = RunEnd.model_validate_json(objects.get_bytes("edgepress/runs/run-1/finished.json"))
    assert (end.state, end.message) == ("failed", "train: out of memory")
