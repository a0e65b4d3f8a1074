"""A working directory on this machine, ``.edgepress`` by default:

runs/<run_id>/      what a run gives: verdict.json, report.html, leaderboard.csv, evaluations/, models/, logs/; and of
                    one that passed release/ and published.json
runs/latest         a link to the newest run that reached a verdict
artifacts/<run_id>/ what its tasks wrote; later runs reuse it through the cache
cache/              the cache's entries
datasets/<digest>/  ingested data
state/              checkpoints of unfinished training; a stage that finishes removes its own and those of killed runs with other settings,
                    so only those of a recipe that was then renamed or dropped stay until they are deleted by hand
inputs/<digest>/    files that a run took along
ledger/             how often each test split was used
store/              the embedded object store
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from edgepress.contracts.verdict import VERDICT_NAME
from edgepress.device.files import fsync_directory, new_directory, write_atomically
from edgepress.errors import EdgePressError, InputError


class Workdir:
    """Paths of a working directory. It and ``runs/`` are made on construction, the rest for a run on this machine.

    Raises:
        InputError: the path cannot be a directory to write in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.runs = self.path / "runs"
        self.artifacts = self.path / "artifacts"
        self.cache = self.path / "cache"
        self.datasets = self.path / "datasets"
        self.state = self.path / "state"
        self.ledger = self.path / "ledger"
        self.store = self.path / "store"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be a working directory ({error.strerror}); choose another with --workdir") from error
        self._make(self.runs)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the directory for one run. The lock is the kernel's: a killed run leaves none.

        Raises:
            EdgePressError: another run holds it.
            InputError: the folders of a run cannot be made in it.
        """
        self._make(self.artifacts, self.cache, self.datasets, self.state, self.ledger)
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise EdgePressError(f"{self.path}: another run is using it; wait for it, or choose another --workdir") from error
            yield

    def new_run(self) -> Path:
        """Create the folder of a new run, named by the time in UTC so that names sort by age."""
        run_dir = self.runs / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        (run_dir / "logs").mkdir(parents=True)
        return run_dir

    def run_of_cluster(self, run_id: str) -> Path:
        """The folder of a run on Kubeflow, made when it is absent.

        Raises:
            InputError: the identifier is none that may name a folder, or the folder cannot be made.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", run_id):
            raise InputError(f"{run_id!r} is not a run's identifier")
        run_dir = self.runs / run_id
        self._make(run_dir)
        return run_dir

    def complete(self, run_dir: Path, summary: Path, bundle: Path | None) -> None:
        """Copy what a run gives into its folder; the verdict goes last, then ``latest`` points at the run."""
        if bundle is not None:
            _copy(bundle, run_dir / "release")
        for item in sorted(summary.iterdir(), key=lambda item: item.name == VERDICT_NAME):
            _copy(item, run_dir / item.name)
        self.point_latest_at(run_dir)

    def point_latest_at(self, run_dir: Path) -> None:
        """Let ``runs/latest`` name a run that has reached its verdict.

        Raises:
            EdgePressError: something else has that name, or it cannot be written.
        """
        latest = self.runs / "latest"
        link = self.runs / f".latest.{secrets.token_hex(4)}"  # a name that no command that was killed has left behind
        try:
            link.symlink_to(run_dir.name)
            os.replace(link, latest)
            fsync_directory(self.runs)
        except OSError as error:
            with contextlib.suppress(OSError):
                link.unlink(missing_ok=True)
            raise EdgePressError(f"{latest}: cannot be made a link to the newest run ({error.strerror}); move it away") from error

    def _make(self, *folders: Path) -> None:
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            where = error.filename or self.path
            raise InputError(
                f"{where}: cannot be a folder of the working directory ({error.strerror}); choose another with --workdir"
            ) from error


def _copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        with new_directory(destination) as building:
            shutil.copytree(source, building, dirs_exist_ok=True)
    else:
        write_atomically(destination, source.read_bytes())
