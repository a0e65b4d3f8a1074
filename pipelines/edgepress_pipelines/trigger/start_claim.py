"""One start at a time: whoever wants to start a run of a pipeline first holds its lease, below ``claims/<name>/``."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from edgepress.storage import ObjectStore, join_key
from edgepress.storage.lease import SYSTEM_CLOCK, Clock, HeldLease, hold_lease

LEASE_S = 300.0
"""Looking at the cluster and one request to it take seconds, two minutes at worst."""


def claim_start(
    store: ObjectStore,
    prefix: str,
    name: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    lease_s: float = LEASE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> AbstractContextManager[HeldLease]:
    """Hold the claim on starting runs of a pipeline; renew it before each request that could start one. See ``hold_lease``.

    Args:
        store, prefix: the pipeline's storage.
        name: of the pipeline.
        tell: is given one line when there is somebody to wait for.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    return hold_lease(store, join_key(prefix, "claims", name), doing=f"starting runs of {name}", lease_s=lease_s, tell=tell, clock=clock)
