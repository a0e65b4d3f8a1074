"""Object storage: one protocol, and the stores that speak it."""

from edgepress.storage.store import (
    TASK_PATIENCE_S,
    ObjectStore,
    StoredObject,
    is_local,
    join_key,
    join_uri,
    local_path,
    open_object,
    open_store,
)

__all__ = [
    "TASK_PATIENCE_S",
    "ObjectStore",
    "StoredObject",
    "is_local",
    "join_key",
    "join_uri",
    "local_path",
    "open_object",
    "open_store",
]
