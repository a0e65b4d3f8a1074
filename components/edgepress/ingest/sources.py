"""Which reader reads a source: built-in names, and the kinds of local files and folders, which may also lie in ``s3://``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edgepress.contracts.config import DatasetSettings
from edgepress.errors import DataError
from edgepress.ingest.breast_cancer import read_breast_cancer
from edgepress.ingest.content import SourceContent
from edgepress.ingest.diabetes import read_diabetes
from edgepress.ingest.digits import read_digits
from edgepress.ingest.fashion_mnist import read_fashion_mnist
from edgepress.ingest.image_folder import read_image_folder
from edgepress.ingest.npz import read_npz

BUILTIN_READERS: dict[str, Callable[[], SourceContent]] = {
    "digits": read_digits,
    "fashion-mnist": read_fashion_mnist,
    "breast-cancer": read_breast_cancer,
    "diabetes": read_diabetes,
}
"""Sources that need nothing but their name: those of ``BUILTIN_SOURCES``."""

FILE_READERS: dict[str, Callable[[Path, str, DatasetSettings], SourceContent]] = {".npz": read_npz}
"""Readers of single files by suffix: (local path, the source as the user wrote it, settings) -> content."""

S3_SCHEME = "s3://"


def read_source(settings: DatasetSettings, scratch: Path) -> SourceContent:
    """Read the source that the settings name. ``scratch`` is an existing folder that outlives the returned content.

    Uint8 inputs will be scaled as the settings say.

    Raises:
        DataError: there is no such source, or what it holds is wrong.
        StorageError: the object store cannot be reached or refuses.
    """
    content = _read(settings, scratch)
    given = {split: replace(examples, scaling=settings.scaling) for split, examples in content.given.items()}
    return replace(content, given=given)


def _read(settings: DatasetSettings, scratch: Path) -> SourceContent:
    source = settings.source
    builtin = BUILTIN_READERS.get(source)
    if builtin is not None:
        return builtin()
    if source.startswith(S3_SCHEME):
        from edgepress.ingest.remote import download  # local sources need no client of an object store

        path = download(source, scratch / "download", single_file=Path(source).suffix in FILE_READERS)
    else:
        path = Path(source).expanduser()
    if path.is_dir():
        return read_image_folder(path, source, settings, scratch)
    reader = FILE_READERS.get(path.suffix)
    if reader is None or not path.exists():
        problem = "there is no such file or folder" if not path.exists() else "is not a kind of file that can be read"
        kinds = ", ".join([*BUILTIN_READERS, *(f"a {suffix} file" for suffix in FILE_READERS)])
        raise DataError(f"dataset.source {source}: {problem}; use {kinds}, a folder of images per class, or either at s3://")
    return reader(path, source, settings)
