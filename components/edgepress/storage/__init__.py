"""Object storage: one protocol, and the stores that speak it."""

from edgepress.storage.store import ObjectStore, StoredObject, join_key, open_store

__all__ = ["ObjectStore", "StoredObject", "join_key", "open_store"]
