"""The fingerprint of a run before it starts: what its verdict will follow from, as three digests.

Who starts a run gives what it knows: the trigger all three, ``submit`` the dataset's too unless that lies on a volume of the cluster, a
schedule code and configuration. The run's ingest looks at the source in any case, and its report completes the fingerprint.
"""

import json
from typing import Any

from edgepress.contracts.config import BUILTIN_SOURCES, PipelineConfig
from edgepress.contracts.digest import Digest
from edgepress.contracts.last_verdict import Fingerprint
from edgepress.device.digest import digest_bytes
from edgepress.storage.source_digest import S3_SCHEME, digest_in_place


def take_fingerprint(config: PipelineConfig, code: Digest, *, dataset: Digest | None = None) -> Fingerprint:
    """The digest of the configuration, as it is now, beside those of the code and the dataset.

    Args:
        config: what a run is computed from.
        code: of the compiled pipeline, ``CompiledPipeline.digest``: the graph as this machine's KFP compiles it, the components'
            declarations, the images that tasks run in and what their pods get. Another agent or controller image gives the same verdict.
        dataset: of the source, from ``digest_dataset``; None leaves it to the run, which looks at the source itself.

    Raises:
        InputError: the module or the adopted model cannot be read.
        StorageError: the object store cannot be reached or refuses.
    """
    configuration = digest_bytes(_canonical(configuration_that_matters(config)))
    return Fingerprint(code=code, configuration=configuration, dataset=dataset)


def digest_dataset(config: PipelineConfig) -> Digest:
    """Digest of the dataset's source as it is now; a run's ingest finds the same as long as nothing changes.

    Raises:
        InputError: the source cannot be read here.
        StorageError: the object store cannot be reached or refuses.
    """
    return digest_in_place(config.dataset.source, "dataset.source")


def is_on_data_volume(config: PipelineConfig) -> bool:
    """Whether the source is a path in pods, where ``resources.kubeflow.data_volume`` is: what has this path here may be something else."""
    source = config.dataset.source
    return source not in BUILTIN_SOURCES and not source.startswith(S3_SCHEME)


def configuration_that_matters(config: PipelineConfig) -> dict[str, Any]:
    """The configuration as JSON data, without what cannot change a verdict or a release, and with contents in place of paths.

    Left out: ``schedule``; ``resources``, of which the compiled pipeline has what pods get; and ``dataset.source``, because its content
    is a digest of its own. ``baseline.module`` and ``baseline.from`` stand as their digests, so the same files at another path are the
    same configuration.

    Raises:
        InputError: the module or the adopted model cannot be read.
        StorageError: the object store cannot be reached or refuses.
    """
    matters: dict[str, Any] = config.model_dump(mode="json", exclude={"schedule": True, "resources": True, "dataset": {"source"}})
    if config.baseline.module is not None:
        matters["baseline"]["module"] = digest_in_place(config.baseline.module, "baseline.module")
    if config.baseline.from_ is not None:
        matters["baseline"]["from"] = digest_in_place(config.baseline.from_, "baseline.from")
    return matters


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
