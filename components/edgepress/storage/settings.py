"""Settings as a task's parameter carries them: JSON text, or, where it is long, the address of a file with that text.

Every parameter of a task is on its command line, which is short; a file is as long as it has to be. The address is made of the text's
digest, so equal settings have equal parameters, by which an engine's cache compares them.

    <inputs>/<hex digest>/settings.json
"""

from pathlib import PurePosixPath

from edgepress.device.digest import digest_bytes
from edgepress.errors import IntegrityError
from edgepress.storage.opening import open_object_for_task, open_store
from edgepress.storage.uri import join_key, join_uri

MAX_INLINE_BYTES = 500
"""Longer text travels as a file. Settings without lists are shorter, so a parameter is readable where KFP shows it."""

SETTINGS_NAME = "settings.json"


def carry_settings(text: str, inputs: str) -> str:
    """The parameter for settings: the text itself, or where ``place_settings`` puts it. Writes nothing.

    Args:
        text: settings as JSON.
        inputs: folder or ``s3://bucket/prefix`` for what a run takes along.
    """
    return join_uri(inputs, _key(text)) if _is_long(text) else text


def place_settings(text: str, inputs: str) -> None:
    """Put settings where ``carry_settings`` says that they are, unless they are short or there already.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    if not _is_long(text):
        return
    store, prefix = open_store(inputs)
    key, content = join_key(prefix, _key(text)), text.encode()
    if not (store.exists(key) and store.get_bytes(key) == content):
        store.put_bytes(key, content)


def read_settings(parameter: str) -> str:
    """The JSON text that a task's parameter carries.

    Raises:
        StorageError: the file is not there, or the store cannot be reached or refuses.
        IntegrityError: the file is not the one that was placed.
    """
    if parameter.startswith("{") or parameter == "null":
        return parameter
    store, key = open_object_for_task(parameter)
    content = store.get_bytes(key)
    if digest_bytes(content).removeprefix("sha256:") != PurePosixPath(parameter).parent.name:
        raise IntegrityError(f"{parameter}: is not the file that was placed there; start the run again, which places it anew")
    return content.decode()


def _is_long(text: str) -> bool:
    return len(text.encode()) > MAX_INLINE_BYTES


def _key(text: str) -> str:
    return join_key(digest_bytes(text.encode()).removeprefix("sha256:"), SETTINGS_NAME)
