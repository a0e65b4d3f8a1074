"""Where something is stored, as text: a URI of a store or a path on this machine, and the keys within a store."""

import re
from pathlib import Path

from edgepress.errors import ConfigError

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return not _SCHEME.match(uri)


def local_path(uri: str) -> Path:
    """The path that a local URI is.

    Raises:
        ConfigError: it has a scheme.
    """
    if not is_local(uri):
        raise ConfigError(f"{uri}: is neither s3://bucket/prefix nor a local path")
    return Path(uri)


def join_uri(uri: str, *parts: str) -> str:
    """A place below another: ``s3://bucket/prefix`` or a folder, and the parts of a key."""
    return f"{uri.rstrip('/')}/{join_key(*parts)}"


def join_key(*parts: str) -> str:
    """Join parts of a key with single slashes, leaving empty ones out."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))
