"""Object storage: one protocol, and the stores that speak it."""

from edgepress.storage.store import ObjectStore, join_key, open_store

__all__ = ["ObjectStore", "join_key", "open_store"]
