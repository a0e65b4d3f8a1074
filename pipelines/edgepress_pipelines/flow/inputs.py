"""What a run takes along from where it is started: the user's module, and a model to adopt, each at a place that its digest names.

    <storage>/inputs/<hex digest>/<file name>               a file
    <storage>/inputs/<hex digest>/<directory name>/<path>   a SavedModel

Settings that are too long for a parameter are placed there as well, see ``edgepress.storage.settings``.

``storage`` is what outlives the run's tasks: a working directory, or ``s3://bucket/prefix``, where a task in a pod finds it. Equal content
under an equal name is at an equal place, so a task that got it before is found in the cache.
"""

from dataclasses import dataclass
from pathlib import Path

from edgepress.contracts.config import BaselineSettings, PipelineConfig
from edgepress.device.digest import digest_file
from edgepress.errors import ConfigError, ModelError
from edgepress.models.source import digest_source, source_name
from edgepress.storage import is_local, join_key, join_uri, open_store

INPUTS = "inputs"


@dataclass(frozen=True)
class PlacedInputs:
    """Where a run's tasks find what was taken along.

    Attributes:
        module_uri, module_digest: of the user's module; empty without one.
        baseline: the configuration's, as the run's tasks shall read it: ``from`` names what they can reach.
        source_digest: of the model to adopt; empty without one.
    """

    module_uri: str
    module_digest: str
    baseline: BaselineSettings
    source_digest: str


def place_inputs(config: PipelineConfig, storage: str) -> PlacedInputs:
    """Put the user's module, and for a run in pods a local model to adopt, below ``storage``. What is there and right is not written again.

    Args:
        config: with local paths absolute.
        storage: a working directory, or ``s3://bucket/prefix``.

    Raises:
        ConfigError: a file that the configuration names cannot be read, or is not what it should be.
        StorageError: a store cannot be reached or refuses.
    """
    placed = locate_inputs(config, storage)
    baseline = config.baseline
    if baseline.module is not None:
        _place(Path(baseline.module), placed.module_digest, storage)
    if baseline.from_ is not None and placed.baseline.from_ != baseline.from_:
        _place(Path(baseline.from_), placed.source_digest, storage)
    return placed


def locate_inputs(config: PipelineConfig, storage: str) -> PlacedInputs:
    """Where ``place_inputs`` puts what a run takes along. Writes nothing; reads from an object store when ``baseline.from`` is there.

    Raises:
        ConfigError: a file that the configuration names cannot be read, or is not what it should be.
        StorageError: the store of ``baseline.from`` cannot be reached or refuses.
    """
    baseline, in_pods = config.baseline, not is_local(storage)
    module_uri = module_digest = digest = ""
    if baseline.module is not None:
        try:
            module_digest = digest_file(Path(baseline.module))
        except OSError as error:
            raise ConfigError(f"baseline.module: {baseline.module} cannot be read ({error.strerror})") from error
        module_uri = _uri(storage, module_digest, baseline.module)
        if in_pods:  # the folder that it came from means nothing there, and would tell equal runs apart
            baseline = baseline.model_copy(update={"module": source_name(baseline.module)})
    if baseline.from_ is not None:
        try:
            digest = digest_source(baseline.from_)
        except ModelError as error:
            raise ConfigError(f"baseline.from: {error}") from error
        if in_pods and is_local(baseline.from_):
            baseline = baseline.model_copy(update={"from_": _uri(storage, digest, baseline.from_)})
    return PlacedInputs(module_uri=module_uri, module_digest=module_digest, baseline=baseline, source_digest=digest)


def _uri(storage: str, digest: str, path: str) -> str:
    return join_uri(storage, _key(digest, path))


def _key(digest: str, path: str) -> str:
    return join_key(INPUTS, digest.removeprefix("sha256:"), source_name(path))


def _place(path: Path, digest: str, storage: str) -> None:
    store, prefix = open_store(storage)
    top = join_key(prefix, _key(digest, str(path)))
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        key = top if file == path else join_key(top, file.relative_to(path).as_posix())
        if not (store.exists(key) and store.digest(key) == digest_file(file)):
            store.put_file(key, file)
