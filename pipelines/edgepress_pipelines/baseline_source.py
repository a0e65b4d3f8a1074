"""The digest of a model that a configuration brings along: what is adopted later must be what was there at the start."""

from pathlib import Path

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.digest import digest_file, digest_tree
from edgepress.errors import ConfigError


def source_digest(config: PipelineConfig) -> str:
    """Digest of the file or SavedModel directory named by ``baseline.from``; an empty string without one.

    Raises:
        ConfigError: there is no such file or directory.
    """
    source = config.baseline.from_
    if source is None:
        return ""
    path = Path(source)
    if path.is_dir():
        return digest_tree(path)
    if path.is_file():
        return digest_file(path)
    raise ConfigError(f"baseline.from: {source} is neither a model file nor a SavedModel directory")
