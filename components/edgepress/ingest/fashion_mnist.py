"""``fashion-mnist``: 60,000 training and 10,000 test images of clothes, 28x28x1 (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747).

The four IDX files come from, in this order: the folder in ``EDGEPRESS_FASHION_MNIST_DIR``; Debian's package ``dataset-fashion-mnist``;
Keras' cache (``$KERAS_HOME`` or ``~/.keras``), filled with the files that ``keras.datasets.fashion_mnist`` downloads, so that either finds
what the other fetched. No two of the 70,000 images are alike, so the official splits pass the check for duplicates as they are.
"""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from edgepress.errors import DataError
from edgepress.ingest.content import Examples, SourceContent
from edgepress.ingest.idx import read_idx

FOLDER_VARIABLE = "EDGEPRESS_FASHION_MNIST_DIR"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
FILE_NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
TIMEOUT_S = 30.0
WAYS_ON = "run `apt-get install dataset-fashion-mnist` as root, or use the source digits"


def read_fashion_mnist() -> SourceContent:
    """Read Fashion-MNIST: one input ``image``, [28, 28, 1]; the official ``train`` and ``test``, so ``validation`` is taken from train.

    Raises:
        DataError: the files are nowhere and cannot be downloaded, or one is damaged.
    """
    folder = find_files()
    return SourceContent(
        name="fashion-mnist",
        labels=LABELS,
        given={"train": _read_split(folder, "train"), "test": _read_split(folder, "t10k")},
    )


def find_files() -> Path:
    """The folder that holds the four files, downloading them if need be.

    Raises:
        DataError: they are nowhere and cannot be downloaded.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        absent = _absent(Path(named))
        if absent:
            raise DataError(f"{FOLDER_VARIABLE}={named}: {absent[0]} is not there; correct the variable or unset it")
        return Path(named)
    if not _absent(DEBIAN_FOLDER):
        return DEBIAN_FOLDER
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "fashion-mnist"
    download_files(cache)
    return cache


def download_files(folder: Path, base_url: str = KERAS_URL) -> None:
    """Download those of the four files that ``folder`` lacks; each appears under its name only when it is whole.

    Raises:
        DataError: one cannot be downloaded or kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _absent(folder):
            temporary = folder / f".{name}.{os.getpid()}.tmp"
            try:
                request = urllib.request.urlopen(f"{base_url}{name}", timeout=TIMEOUT_S)  # noqa: S310 - our own constant, or a test's
                with request as response, temporary.open("wb") as file:
                    shutil.copyfileobj(response, file)
                    expected = response.headers.get("Content-Length")
                    if expected is not None and file.tell() != int(expected):
                        raise urllib.error.URLError(f"the connection closed after {file.tell()} of {expected} bytes")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, folder / name)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        # URLError is an OSError, and so are a reset connection, a timeout and a cache folder that cannot be written.
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"fashion-mnist: is not in {DEBIAN_FOLDER} and cannot be downloaded from {base_url} ({reason}); {WAYS_ON}"
        ) from error


def _absent(folder: Path) -> list[str]:
    return [name for name in FILE_NAMES if not (folder / name).is_file()]


def _read_split(folder: Path, prefix: str) -> Examples:
    images_path = folder / f"{prefix}-images-idx3-ubyte.gz"
    labels_path = folder / f"{prefix}-labels-idx1-ubyte.gz"
    images = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise DataError(f"{images_path}: holds {len(images)} images, but {labels_path} holds {len(labels)} labels; fetch both again")
    return Examples(
        inputs={"image": images},
        labels=labels.astype("int64"),
        where=lambda index: f"{images_path}: image {index}",
        slices={},
    )
