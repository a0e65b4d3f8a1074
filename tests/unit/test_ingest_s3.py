"""Sources at s3://, read from a real S3 server."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgepress.contracts.config import DatasetSettings
from edgepress.errors import DataError, StorageError
from edgepress.ingest.step import IngestResult, ingest
from edgepress.storage import open_store

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local folder of two classes with twenty images each."""
    folder = tmp_path_factory.mktemp("local") / "pets"
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(folder / label / f"{number}.png")
    return folder


def upload(uri: str, folder: Path) -> None:
    store, prefix = open_store(uri)
    for path in folder.rglob("*"):
        if path.is_file():
            store.put_file(f"{prefix}/{path.relative_to(folder).as_posix()}", path)


def run(source: str, root: Path) -> IngestResult:
    return ingest(settings=DatasetSettings(source=source), root=root)


def test_an_archive_is_the_same_dataset_there_and_here(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(60, 5)), y=np.arange(60) % 3)
    store, key = open_store("s3://archives/some/data.npz")
    store.put_file(key, tmp_path / "data.npz")
    there = run("s3://archives/some/data.npz", tmp_path / "there")
    assert there.digest == run(str(tmp_path / "data.npz"), tmp_path / "here").digest
    assert (there.path / "dataset.json").read_text() == (tmp_path / "here" / there.path.name / "dataset.json").read_text()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_the_same_dataset_there_and_here(tmp_path: Path, pets: Path, slash: str) -> None:
    upload("s3://images/my/pets", pets)
    # Neither the mark that some tools leave for a folder, nor a neighbour whose name begins the same, belongs to it.
    store, _ = open_store("s3://images/my")
    store.put_bytes("my/pets-old/bird/1.png", b"no image")
    there = run(f"s3://images/my/pets{slash}", tmp_path / "there")
    assert there.digest == run(str(pets), tmp_path / "here").digest
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == sorted([".ingest.lock", there.path.name])


def test_bad_data_is_named_by_its_uri(tmp_path: Path, pets: Path) -> None:
    upload("s3://images/bad", pets)
    store, _ = open_store("s3://images/bad")
    store.put_bytes("bad/dog/3.png", b"no image")
    with pytest.raises(DataError, match=r"^s3://images/bad/dog/3\.png: is not a PNG or JPEG image"):
        run("s3://images/bad", tmp_path / "root")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://images/absent.npz", "s3://images/absent.npz: there is no such object in the store"),
        ("s3://images/absent", "s3://images/absent: the store holds nothing there"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, source: str, expected: str) -> None:
    with pytest.raises(DataError) as raised:
        run(source, tmp_path / "root")
    assert expected in str(raised.value)


def test_refusal_and_silence_are_storage_errors_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepress.storage.opening.TASK_PATIENCE_S", 0.0)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError) as refused:
        run("s3://images/my/pets", tmp_path / "root")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StorageError) as unreachable:
        run("s3://images/my/data.npz", tmp_path / "root")
    for raised in (refused, unreachable):
        assert "\n" not in str(raised.value)
    assert [path.name for path in (tmp_path / "root").iterdir()] == [".ingest.lock"]
