"""The objects below a key, seen as the files of a folder."""

from edgepress.errors import EdgePressError, StorageError
from edgepress.storage.store import ObjectStore


def files_below(store: ObjectStore, key: str, where: str, refusal: type[EdgePressError] = StorageError) -> dict[str, str]:
    """Relative path -> key of each object below a key, sorted; the empty ``name/`` objects that some tools mark folders with are left out.

    Every path is safe to join to a local folder: a store may hold keys that lead out of it.

    Args:
        key: without a slash at its end; empty for the whole store.
        where: what to call the place in errors.
        refusal: what is raised for a key that is no plain relative path.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    base = f"{key}/" if key else ""
    found = {each.removeprefix(base): each for each in store.list_keys(base) if not each.endswith("/")}
    for relative, each in found.items():
        if any(part in ("", ".", "..") for part in relative.split("/")):
            raise refusal(f"{where}: the key {each!r} is no plain relative path; rename the object")
    return found
