"""Object storage: one protocol, and the stores that speak it."""

from edgepress.storage.opening import open_object, open_object_for_task, open_store, open_store_for_task
from edgepress.storage.store import ObjectStore, StoredObject
from edgepress.storage.uri import is_local, join_key, join_uri, local_path

__all__ = [
    "ObjectStore",
    "StoredObject",
    "is_local",
    "join_key",
    "join_uri",
    "local_path",
    "open_object",
    "open_object_for_task",
    "open_store",
    "open_store_for_task",
]
