"""The ingest step: a source becomes a dataset directory whose name is the digest of its content."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import DatasetDescription, DatasetManifest, InputSpec, SplitName, open_dataset, verify_dataset
from edgepress.contracts.last_verdict import SeenSource
from edgepress.device.files import fsync_directory
from edgepress.errors import DataError, InputError, IntegrityError
from edgepress.ingest.checks import check_duplicates, check_labels, check_shapes, digest_examples, find_repeated
from edgepress.ingest.content import SourceContent
from edgepress.ingest.sources import read_source
from edgepress.ingest.splits import held_out_fractions, keep_stratified
from edgepress.ingest.strategies import split_examples
from edgepress.ingest.write import Selection, sync_tree, write_dataset
from edgepress.storage.dataset import FETCHED_NAME, is_stored, store_dataset
from edgepress.storage.source_digest import digest_in_place
from edgepress.task import task

LOCK_NAME = ".ingest.lock"
WORKSPACE_PREFIX = ".ingest-"


@dataclass(frozen=True)
class IngestResult:
    """An ingested dataset.

    Attributes:
        path: the dataset directory.
        digest: of its content, ``sha256:...``.
        address: what other tasks open: ``path`` itself, or the address in the object store that it was uploaded to.
        source: what there was at the source; None for a dataset that was not uploaded, whose run's verdict nobody compares.
    """

    path: Path
    digest: str
    address: str
    source: SeenSource | None

    @property
    def source_text(self) -> str:
        """The source as the report takes it: JSON, or empty."""
        return self.source.model_dump_json() if self.source is not None else ""


@task("ingest")
def ingest(*, settings: DatasetSettings, root: str | Path) -> IngestResult:
    """Read a data source, check it, split it and write it as a dataset directory.

    The directory is ROOT/<hex digest of its content>. It appears whole or not at all; one that is there already and whole is used as it is.
    With a ``root`` in an object store it is written to a temporary folder and uploaded.

    Args:
        settings: which source, how it is split, what is kept.
        root: folder of dataset directories, created when absent, or ``s3://bucket/prefix``. One ingest at a time writes to a folder, others
            wait.

    Raises:
        DataError: the source is wrong; what, and where.
        InputError: ``root`` is empty.
        StorageError: an object store cannot be reached or refuses.
        OSError: the disk is full or ``root`` cannot be written.
    """
    if not root:
        raise InputError("root: is empty; name a folder or s3://bucket/prefix for ingested datasets")
    # Before it is read: what changes from now on counts as another source.
    source = _look_at(settings.source) if is_stored(root) else None
    folder = Path(tempfile.gettempdir()) / FETCHED_NAME if is_stored(root) else Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    with _workspace(folder) as workspace:
        scratch, built = workspace / "scratch", workspace / "dataset"
        scratch.mkdir()
        built.mkdir()
        content = read_source(settings, scratch)
        splits = _check_and_split(content, settings)
        manifest = write_dataset(built, _describe(content, settings, splits), splits)
        path = _put_in_place(built, manifest, folder)
    counts = ", ".join(f"{name} {count:,}" for name, count in manifest.counts.items())
    print(f"{settings.source}: {counts} examples, {_names(manifest)}; {manifest.digest}")
    address = store_dataset(open_dataset(path), str(root)) if is_stored(root) else str(path)
    return IngestResult(path=path, digest=manifest.digest, address=address, source=source)


def _look_at(source: str) -> SeenSource:
    began_unix_s = time.time()
    return SeenSource(digest=digest_in_place(source, "dataset.source", for_task=True), unix_time_s=began_unix_s)


def _check_and_split(content: SourceContent, settings: DatasetSettings) -> dict[SplitName, Selection]:
    source, train = settings.source, content.train
    check_shapes(content, source)
    task = settings.learning_task
    check_labels(task, content, source)
    digests = {split: digest_examples(examples) for split, examples in content.given.items()}
    check_duplicates(content.given, digests)
    splits = {split: Selection(examples, np.arange(len(examples), dtype=np.int64)) for split, examples in content.given.items()}
    wanted = held_out_fractions(content.given, settings)
    if wanted:
        repeated = find_repeated(digests["train"])
        if repeated.any():
            print(f"{source}: {int(repeated.sum()):,} of {len(train):,} examples have a copy{_where_copies_go(settings)}")
        taken = split_examples(settings, train, content.labels, wanted, repeated)
        splits |= {split: Selection(train, indices) for split, indices in taken.items()}
    if task.trains_on is not None:
        selection = splits["train"]
        kept_for_training = selection.indices[np.isin(train.labels[selection.indices], task.trains_on)]
        splits["train"] = Selection(train, kept_for_training)
        if len(kept_for_training) < len(selection):
            left_out = len(selection) - len(kept_for_training)
            print(f"{source}: {left_out:,} anomalies of the training split are left out: an anomaly detector learns what is normal")
    if settings.train_examples is not None:
        indices = splits["train"].indices
        by_class = task.name == "classification"
        labels = train.labels[indices] if by_class else np.zeros(len(indices), np.int64)
        kept = keep_stratified(labels, content.labels if by_class else ("all",), settings.train_examples, seed=settings.seed)
        splits["train"] = Selection(train, indices[kept])
    return splits


def _where_copies_go(settings: DatasetSettings) -> str:
    return "" if settings.split in ("group", "time") else "; all of these stay in train"


def _names(manifest: DatasetManifest) -> str:
    if manifest.task == "regression":
        return f"targets {', '.join(manifest.labels)}"
    return f"{len(manifest.labels)} classes"


def _describe(content: SourceContent, settings: DatasetSettings, splits: dict[SplitName, Selection]) -> DatasetDescription:
    return DatasetDescription(
        name=content.name,
        task=settings.learning_task.name,
        inputs=tuple(
            InputSpec(name=name, shape=content.train.shape(name), dtype=content.train.dtype(name)) for name in content.train.inputs
        ),
        labels=content.labels,
        slice_columns=settings.slice_columns,
        counts={"train": len(splits["train"]), "validation": len(splits["validation"]), "test": len(splits["test"])},
    )


def _put_in_place(built: Path, manifest: DatasetManifest, root: Path) -> Path:
    path = root / manifest.digest.removeprefix("sha256:")
    if path.exists():
        try:
            if verify_dataset(path).manifest.digest == manifest.digest:
                return path
        except (DataError, IntegrityError) as error:
            print(f"{path}: is damaged and is replaced ({error})")
        os.replace(path, built.with_name("damaged"))  # within the workspace, which is removed
    sync_tree(built)
    os.replace(built, path)
    fsync_directory(root)
    return path


@contextmanager
def _workspace(root: Path) -> Iterator[Path]:
    """A folder on the root's own disk, removed at the end. Whoever holds the lock also removes what killed runs left behind."""
    with (root / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{root}: waiting for another ingest to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in root.glob(f"{WORKSPACE_PREFIX}*/"):
            shutil.rmtree(stale)
        workspace = Path(tempfile.mkdtemp(prefix=WORKSPACE_PREFIX, dir=root))
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace)
