"""``edgepress init``: a small project that runs as it is."""

from importlib import resources
from pathlib import Path

from edgepress.device.files import write_atomically
from edgepress.errors import InputError

FILES = ("config.yaml", "model.py", "README.md")


def write_starter(directory: Path) -> list[Path]:
    """Write the starter project; the directory is made when it is absent.

    Returns:
        the files written.

    Raises:
        InputError: a file of that name is there already, or the directory cannot be written. Nothing is written then.
    """
    paths = [directory / name for name in FILES]
    there = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if there:
        raise InputError(f"{', '.join(there)}: already there; init overwrites nothing, choose an empty or new directory")
    templates = resources.files("edgepress_pipelines") / "starter"
    contents = [(templates / name).read_bytes() for name in FILES]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents, strict=True):
            write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); choose another directory") from error
    return paths
