"""Refusing an HDF5 file that reaches outside itself.

HDF5 opens other files on its own when data is read: a dataset may lie in external storage (any file, any offset), be virtual (put
together from datasets of other files), or stand behind a link into another file. A model file with such a dataset in place of a kernel
would carry a local file's content into the model's weights.
"""

from typing import Any

import h5py

from edgepress.errors import ModelError, one_line


def refuse_outside_data(file: h5py.File, shown_as: str) -> None:
    """Refuse an open HDF5 file unless everything in it is stored in it. Follows no link but those within the file.

    Args:
        file: open for reading.
        shown_as: the file, for messages.

    Raises:
        ModelError: it holds a link that is not a hard link, or a dataset that is external or virtual.
        OSError, RuntimeError, KeyError, ValueError: HDF5 cannot read it.
    """
    pending: list[Any] = [file]
    seen = set()
    while pending:
        group = pending.pop()
        for name in group:
            if not isinstance(_link(group, name), h5py.HardLink):
                raise _refusal(shown_as, group, name, "a link, which may lead into another file")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:  # a group may be a member of itself
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external is not None or item.is_virtual):
                raise _refusal(shown_as, group, name, "stored in another file")


def _link(group: Any, name: str) -> Any:
    try:
        return group.get(name, getlink=True)
    except TypeError:  # a user-defined kind of link
        return None


def _refusal(shown_as: str, group: Any, name: str, what: str) -> ModelError:
    where = one_line(f"{group.name.rstrip('/')}/{name}")[:80].encode(errors="replace").decode()
    return ModelError(f"{shown_as}: {where} is {what}, and only what the file itself holds is read; save the model again")
