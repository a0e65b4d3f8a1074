"""The runtime of each kind of artifact. A runtime is imported when a model of its kind is first opened."""

from collections.abc import Callable
from dataclasses import dataclass

from edgepress.contracts.candidate import ArtifactKind
from edgepress.device.model import RunnableModel
from edgepress.errors import InputError, ModelError
from edgepress.runtimes.artifact import Artifact


@dataclass(frozen=True)
class Runtime:
    """What runs one kind of artifact.

    Attributes:
        open: from the artifact, what to call it in errors, and the number of threads (None leaves it to the runtime) to a model.
        version: its name and version, e.g. ``litert 2.3.0``.
    """

    open: Callable[[Artifact, str, int | None], RunnableModel]
    version: Callable[[], str]


def open_artifact(artifact: Artifact, source: str | None = None, threads: int | None = None) -> RunnableModel:
    """Open an artifact for inference.

    Args:
        artifact: what to run.
        source: what to call it in errors; its path when left out.
        threads: that one inference may use; None for the runtime's own choice.

    Raises:
        InputError: its runtime is not installed here.
        ModelError: its runtime cannot open it.
    """
    return _RUNTIMES[artifact.kind]().open(artifact, source or str(artifact.path), threads)


def runtime_version(kind: ArtifactKind) -> str:
    """Name and version of the runtime of a kind, e.g. ``litert 2.3.0``.

    Raises:
        InputError: it is not installed here.
    """
    return _RUNTIMES[kind]().version()


def _litert() -> Runtime:
    from edgepress.tflite.litert import LiteRTModel, runtime_version

    def open_file(artifact: Artifact, source: str, threads: int | None) -> RunnableModel:
        if artifact.content is None:
            raise ModelError(f"{source}: is a directory; give a .tflite file")
        return LiteRTModel(artifact.content, source, threads or 1)

    return Runtime(open_file, runtime_version)


def _tensorflow() -> Runtime:
    try:
        from edgepress.runtimes.saved_model import SavedModel, runtime_version
    except ModuleNotFoundError as error:
        raise InputError(
            f"artifact: saved_model needs {error.name} to run, which is not installed here; use the trainer's image"
        ) from error
    return Runtime(lambda artifact, source, threads: SavedModel(artifact.path, source, threads), runtime_version)


_RUNTIMES: dict[ArtifactKind, Callable[[], Runtime]] = {"tflite": _litert, "saved_model": _tensorflow}
