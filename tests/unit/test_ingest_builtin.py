"""The built-in sources: known content, and what is said when Fashion-MNIST cannot be had."""

import functools
import gzip
import http.server
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import open_dataset
from edgepress.errors import DataError
from edgepress.ingest.fashion_mnist import DEBIAN_FOLDER, FILE_NAMES, FOLDER_VARIABLE, download_files
from edgepress.ingest.idx import read_idx
from edgepress.ingest.step import ingest


def test_digits_are_the_same_everywhere(tmp_path: Path) -> None:
    result = ingest(settings=DatasetSettings(source="digits"), root=tmp_path)
    dataset = open_dataset(result.path)
    assert dataset.manifest.counts == {"train": 1258, "validation": 180, "test": 359}
    assert dataset.manifest.inputs[0].shape == (8, 8, 1)
    test = dataset.split("test")
    assert test.inputs["image"].min() == 0.0
    assert test.inputs["image"].max() == 1.0
    # A known digest: another numpy, another machine or a change of the split must not silently make another dataset.
    assert result.digest == "sha256:f9668bfaa459ff8a5b97ecf08e929f7a81183e13a8b632530bf618a141f8d131"
    assert result.path == tmp_path / result.digest.removeprefix("sha256:")


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=1))


@pytest.fixture
def small_files(tmp_path: Path) -> Path:
    """The four files with few examples, in the real format."""
    folder = tmp_path / "files"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 200), ("t10k", 50)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return folder


def test_fashion_mnist_takes_validation_out_of_its_official_train(
    small_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(small_files))
    dataset = open_dataset(ingest(settings=DatasetSettings(source="fashion-mnist"), root=tmp_path / "root").path)
    assert dataset.manifest.counts == {"train": 180, "validation": 20, "test": 50}
    assert dataset.manifest.labels[0] == "T-shirt/top"
    original = read_idx(small_files / "t10k-images-idx3-ubyte.gz", dimensions=3)
    np.testing.assert_array_equal(dataset.split("test").inputs["image"][..., 0], original.astype(np.float32) / 255)


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    dataset = open_dataset(ingest(settings=DatasetSettings(source="fashion-mnist", train_examples=1000), root=tmp_path).path)
    assert dataset.manifest.counts == {"train": 1000, "validation": 6000, "test": 10_000}
    assert np.bincount(dataset.split("validation").labels).tolist() == [600] * 10
    assert dataset.split("test").inputs["image"].mean() == pytest.approx(0.2868, abs=1e-4)


@pytest.fixture
def server_url(small_files: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(small_files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the folder without writing to the terminal."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_files_are_downloaded_whole_and_only_when_absent(server_url: str, small_files: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    download_files(cache, server_url)
    assert sorted(path.name for path in cache.iterdir()) == sorted(FILE_NAMES)
    assert all((cache / name).read_bytes() == (small_files / name).read_bytes() for name in FILE_NAMES)
    (cache / FILE_NAMES[0]).write_bytes(b"kept")
    download_files(cache, server_url)
    assert (cache / FILE_NAMES[0]).read_bytes() == b"kept"


def test_a_failed_download_says_how_to_go_on_and_leaves_nothing(server_url: str, small_files: Path, tmp_path: Path) -> None:
    (small_files / FILE_NAMES[2]).unlink()
    with pytest.raises(DataError) as raised:
        download_files(tmp_path / "cache", server_url)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(FILE_NAMES[:2])
    message = str(raised.value)
    assert "File not found" in message
    assert "apt-get install dataset-fashion-mnist" in message
    assert "digits" in message
    assert "\n" not in message


def test_no_server_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"refused.*apt-get install dataset-fashion-mnist"):
        download_files(tmp_path / "cache", "http://127.0.0.1:9/")


def test_a_named_folder_is_not_replaced_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=f"{FOLDER_VARIABLE}={tmp_path}: train-images-idx3-ubyte.gz is not there"):
        ingest(settings=DatasetSettings(source="fashion-mnist"), root=tmp_path / "root")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no gzip", "cannot be read as gzip"),
        (gzip.compress(bytes((0, 0, 8, 1)) + struct.pack(">I", 3) + b"abc", mtime=0)[:-9], "cannot be read as gzip"),
        (gzip.compress(b"abc", mtime=0), "is not an IDX file of unsigned bytes with 1 dimensions"),
        (
            gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">III", 1, 1, 1) + b"a", mtime=0),
            "is not an IDX file of unsigned bytes with 1 dimensions",
        ),
        (gzip.compress(bytes((0, 0, 8, 1)) + struct.pack(">I", 3) + b"ab", mtime=0), r"holds 2 bytes of data, but its header says \[3\]"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}: {expected}.*fetch it again"):
        read_idx(path, dimensions=1)


def test_by_hand_and_without_tensorflow(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgepress.ingest", "--settings", "{source: nowhere}", "--root", str(tmp_path / "root")]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("edgepress: error: dataset.source nowhere: there is no such file or folder; use digits")
    assert failed.stderr.count("\n") == 1
    code = "import sys, edgepress.ingest.step; print({'tensorflow', 'kfp', 'boto3', 'sklearn'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert loaded.stdout == "set()\n"
