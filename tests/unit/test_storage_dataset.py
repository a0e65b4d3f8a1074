"""Datasets in an object store, against a real S3 server: stored once, fetched once, and never believed without being verified."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.config import DatasetSettings
from edgepress.errors import InputError, IntegrityError, StorageError
from edgepress.ingest import step
from edgepress.ingest.content import SourceContent
from edgepress.ingest.sources import read_source
from edgepress.ingest.step import IngestResult, ingest
from edgepress.storage import open_store
from edgepress.storage.dataset import FETCHED_NAME, fetch_dataset
from edgepress.storage.embedded import EmbeddedStore
from edgepress.storage.source_digest import digest_in_place
from tests.unit.store_environment import only

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def source(tmp_path: Path) -> DatasetSettings:
    rng = np.random.default_rng(0)
    site = np.array(["a", "b"])[np.arange(60) % 2]
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(60, 5)), y=np.arange(60) % 3, site=site)
    return DatasetSettings(source=str(tmp_path / "data.npz"), slice_columns=("site",))


def on_machine(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Continue as on another machine: with a directory for temporary files of its own."""
    temporary = folder / name
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


def run(source: DatasetSettings, uri: str) -> IngestResult:
    return ingest(settings=source, root=uri)


def test_what_ingest_sees_at_the_source_is_what_a_trigger_sees(source: DatasetSettings) -> None:
    began_unix_s = time.time()
    seen = run(source, "s3://seen/datasets").source
    assert seen is not None
    assert seen.digest == digest_in_place(source.source, "dataset.source")
    assert began_unix_s <= seen.unix_time_s <= time.time()
    store, _ = open_store("s3://seen")
    store.put_file("data.npz", Path(source.source))
    remote = run(source.model_copy(update={"source": "s3://seen/data.npz"}), "s3://seen/datasets").source
    assert remote is not None
    assert remote.digest == digest_in_place("s3://seen/data.npz", "dataset.source")


def test_what_changes_while_it_is_read_is_another_source(source: DatasetSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_then_change(settings: DatasetSettings, scratch: Path) -> SourceContent:
        content = read_source(settings, scratch)
        with Path(source.source).open("ab") as file:
            file.write(b"more")
        return content

    monkeypatch.setattr(step, "read_source", read_then_change)
    seen = run(source, "s3://changing/datasets").source
    assert seen is not None
    assert seen.digest != digest_in_place(source.source, "dataset.source")


def test_what_one_machine_ingests_another_reads(source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://shared/edgepress/datasets")
    assert ingested.address == f"s3://shared/edgepress/datasets/{ingested.digest.removeprefix('sha256:')}"
    assert ingested.digest == ingest(settings=source, root=tmp_path / "local").digest

    second = on_machine("second", tmp_path, monkeypatch)
    fetched = fetch_dataset(ingested.address)
    assert fetched.path.is_relative_to(second)
    assert fetched.manifest.digest == ingested.digest
    split, local = fetched.split("test"), fetch_dataset(tmp_path / "local" / ingested.path.name).split("test")
    np.testing.assert_array_equal(split.inputs["x"], local.inputs["x"])
    np.testing.assert_array_equal(split.slices["site"], local.slices["site"])


def test_equal_data_keeps_its_address_and_is_uploaded_once(
    source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_machine("first", tmp_path, monkeypatch)
    first = run(source, "s3://once/datasets")
    store, prefix = open_store(first.address)
    store.put_bytes(f"{prefix}/train/labels.npy", b"kept")
    on_machine("second", tmp_path, monkeypatch)
    assert run(source, "s3://once/datasets").address == first.address
    assert store.get_bytes(f"{prefix}/train/labels.npy") == b"kept"


def test_an_upload_that_was_cut_off_is_no_dataset(source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://cut/datasets")
    store, prefix = open_store(ingested.address)
    store.delete(f"{prefix}/dataset.json")
    on_machine("second", tmp_path, monkeypatch)
    with pytest.raises(StorageError, match="there is no dataset; was it removed from the store"):
        fetch_dataset(ingested.address)
    run(source, "s3://cut/datasets")
    assert fetch_dataset(ingested.address).manifest.digest == ingested.digest


def test_a_dataset_that_was_changed_is_refused_and_leaves_nothing(
    source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://changed/datasets")
    store, prefix = open_store(ingested.address)
    labels = ingested.path / "train" / "labels.npy"
    np.save(labels, np.flip(np.load(labels)))
    store.put_file(f"{prefix}/train/labels.npy", labels)
    second = on_machine("second", tmp_path, monkeypatch)
    with pytest.raises(IntegrityError):
        fetch_dataset(ingested.address)
    assert list((second / FETCHED_NAME).iterdir()) == []
    store.delete(f"{prefix}/train/labels.npy")
    with pytest.raises(IntegrityError, match="is incomplete"):
        fetch_dataset(ingested.address)


def test_another_dataset_under_the_address_is_refused(source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingested = ingest(settings=source, root=tmp_path / "local")
    wrong = f"s3://wrong/datasets/{'0' * 64}"
    store, prefix = open_store(wrong)
    for path in ingested.path.rglob("*"):
        if path.is_file():
            store.put_file(f"{prefix}/{path.relative_to(ingested.path).as_posix()}", path)
    on_machine("second", tmp_path, monkeypatch)
    with pytest.raises(IntegrityError, match=f"holds dataset {ingested.digest}"):
        fetch_dataset(wrong)


def test_a_second_fetch_reads_nothing_from_the_store(
    source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedStore
) -> None:
    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://quick/datasets")
    on_machine("second", tmp_path, monkeypatch)
    fetch_dataset(ingested.address)
    with only({}):  # neither credentials nor an endpoint
        assert fetch_dataset(ingested.address).manifest.digest == ingested.digest


def test_ingest_needs_a_place(source: DatasetSettings) -> None:
    with pytest.raises(InputError, match="root: is empty"):
        run(source, "")


def test_a_marker_of_the_folder_is_no_file_of_the_dataset(source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://marked/datasets")
    store, prefix = open_store(ingested.address)
    for folder in ("", "train/"):
        store.put_bytes(f"{prefix}/{folder}", b"")
    second = on_machine("second", tmp_path, monkeypatch)
    assert fetch_dataset(ingested.address).path.is_relative_to(second)


def test_a_key_that_leads_out_of_the_dataset_is_refused(source: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgepress.storage.s3 import S3Store

    on_machine("first", tmp_path, monkeypatch)
    ingested = run(source, "s3://leading-out/datasets")
    _, prefix = open_store(ingested.address)
    listed = S3Store.list_keys
    monkeypatch.setattr(S3Store, "list_keys", lambda self, start="": [*listed(self, start), f"{prefix}/../../escaped"])
    second = on_machine("second", tmp_path, monkeypatch)
    with pytest.raises(StorageError, match="is no plain relative path"):
        fetch_dataset(ingested.address)
    assert not (second / FETCHED_NAME).exists()
