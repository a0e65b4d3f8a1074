"""What a task cannot do without outlasts its store: whether or not KFP starts a failed task again, none fails for an outage of seconds."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import DatasetDirectory, open_dataset
from edgepress.contracts.last_verdict import LastVerdict
from edgepress.device.digest import digest_bytes
from edgepress.gate.ledger import record_use
from edgepress.ingest.remote import download
from edgepress.ingest.step import ingest
from edgepress.models.source import copy_source
from edgepress.models.user_module import fetch_module
from edgepress.report.publish import publish_summary
from edgepress.storage import open_store
from edgepress.storage.dataset import fetch_dataset, store_dataset
from edgepress.storage.embedded import EmbeddedStore
from edgepress.train.checkpoint import Checkpoint
from tests.faults.s3_proxy import Fault, Plan, S3Proxy, running_proxy

SOME_DIGEST = digest_bytes(b"some")


class Breaking(Plan):
    """The first requests break, a few of each kind; then all is well."""

    def __init__(self, fault: Fault, times: int) -> None:
        super().__init__(fault=fault)
        self.left = times

    def fault_of(self, method: str) -> Fault:
        with self.lock:
            if self.left == 0 or (self.fault == "answer cut" and method != "GET"):
                return "none"
            self.left -= 1
            return self.fault


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.normal(size=(60, 5)), y=np.arange(60) % 3)
    return open_dataset(ingest(settings=DatasetSettings(source=str(folder / "data.npz")), root=folder / "datasets").path)


@pytest.fixture(scope="module")
def proxy(server: EmbeddedStore, dataset: DatasetDirectory) -> Iterator[S3Proxy]:
    with running_proxy(server.endpoint_url) as proxy:
        store, _ = open_store("s3://bucket")
        store.put_bytes("there", b"content")
        store_dataset(dataset, "s3://bucket/datasets")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint_url)
            yield proxy


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's own, where nothing has been fetched yet."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def publish(folder: Path) -> object:
    (folder / "summary").mkdir()
    (folder / "summary" / "verdict.json").write_text("{}")
    last = LastVerdict(run_id="r", started_unix_s=1.0, fingerprint=None, outcome="rejected")
    return publish_summary(folder / "summary", "s3://bucket/at", "digits", last)


TASK_IO: dict[str, Callable[[DatasetDirectory, Path], object]] = {
    "store a dataset": lambda dataset, folder: store_dataset(dataset, f"s3://bucket/{folder.name}"),
    "fetch a dataset": lambda dataset, _: fetch_dataset(f"s3://bucket/datasets/{dataset.path.name}"),
    "read a source": lambda _, folder: download("s3://bucket/there", folder / "source", single_file=True),
    "count a use": lambda *_: record_use("s3://bucket/ledger", SOME_DIGEST, run_id="r", nominee_digest=SOME_DIGEST, unix_time_s=1.0),
    "publish a report": lambda _, folder: publish(folder),
    "fetch a module": lambda *_: fetch_module("s3://bucket/there", ""),
    "adopt a model": lambda _, folder: copy_source("s3://bucket/there", folder / "copy"),
    "look for a checkpoint": lambda *_: Checkpoint("s3://bucket/state", SOME_DIGEST).load(),
}


@pytest.mark.parametrize("io", list(TASK_IO))
def test_an_outage_costs_no_task_its_work(proxy: S3Proxy, dataset: DatasetDirectory, tmp_path: Path, io: str) -> None:
    outage = Breaking("not sent", -1)
    proxy.plan = outage
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(TASK_IO[io], dataset, tmp_path)
        while outage.left > -5 and not work.done():  # one more than the client's own attempts
            time.sleep(0.02)
        proxy.plan = Plan()
        work.result(60)
    assert outage.left <= -5


@pytest.mark.parametrize("io", ["fetch a dataset", "read a source", "fetch a module", "adopt a model"])
def test_a_connection_that_breaks_within_a_file_costs_no_task_its_work(
    proxy: S3Proxy, dataset: DatasetDirectory, tmp_path: Path, io: str
) -> None:
    proxy.plan = breaking = Breaking("answer cut", 5)
    TASK_IO[io](dataset, tmp_path)
    assert breaking.left == 0
    if io == "fetch a dataset":
        assert fetch_dataset(f"s3://bucket/datasets/{dataset.path.name}").manifest == dataset.manifest
