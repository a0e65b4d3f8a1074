"""The files of a folder in a store: whatever keys a store holds, each path that comes out is one below a local folder."""

from pathlib import Path

import pytest

from edgepress.errors import DataError, StorageError
from edgepress.storage.filesystem import FilesystemStore
from edgepress.storage.folder import files_below


def holding(keys: list[str], monkeypatch: pytest.MonkeyPatch) -> FilesystemStore:
    """A store with keys that a folder cannot have, as a bucket can."""
    monkeypatch.setattr(FilesystemStore, "list_keys", lambda self, prefix="": [key for key in keys if key.startswith(prefix)])
    return FilesystemStore(Path("/nowhere"))


def test_files_are_relative_and_markers_of_folders_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = holding(["a/b/", "a/b/c/", "a/b/c/d.txt", "a/b/e.txt", "a/bc.txt"], monkeypatch)
    assert files_below(store, "a/b", "here") == {"c/d.txt": "a/b/c/d.txt", "e.txt": "a/b/e.txt"}
    assert "a/bc.txt" in files_below(store, "", "here")


@pytest.mark.parametrize("key", ["a/../x", "a/b/../../x", "a//x", "a/./x"])
def test_a_key_that_is_no_plain_path_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = holding(["a/fine", key], monkeypatch)
    with pytest.raises(StorageError, match=r"^here: the key .* is no plain relative path"):
        files_below(store, "a", "here")
    with pytest.raises(DataError):
        files_below(store, "a", "here", DataError)
