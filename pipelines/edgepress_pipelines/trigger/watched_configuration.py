"""Which objects concern a pipeline, while its configuration may change under a receiver that runs for months."""

from collections.abc import Callable
from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress.errors import ConfigError
from edgepress_pipelines.trigger.receiver.events import watched_sources

_FileState = tuple[int, int, int]
"""Inode, size and time of change: a ConfigMap's file is another file after each change, an editor's may not be."""


class WatchedConfiguration:
    """The sources of a configuration, read anew when its file has changed.

    Args:
        path: of the file.
        load: reads it.
    """

    def __init__(self, path: Path, load: Callable[[], PipelineConfig]) -> None:
        self._path = path
        self._load = load
        self._read: tuple[_FileState, tuple[str, ...]] | None = None

    def sources(self) -> tuple[str, ...]:
        """Those at ``s3://``, for ``is_relevant``. None at all, so that each event leads to a check, while the configuration cannot be
        read: the check says what is wrong with it."""
        try:
            found = self._path.stat()
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._read is None or self._read[0] != state:
                config = self._load()
                self._read = (state, watched_sources(config.dataset.source, config.baseline.from_))
        except (ConfigError, OSError):
            return ()
        return self._read[1]
