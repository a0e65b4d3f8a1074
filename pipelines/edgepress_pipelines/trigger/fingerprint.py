"""The fingerprint of a run before it starts: what its verdict will follow from, as three digests.

Who starts a run gives what it knows: the trigger all three, ``submit`` the dataset's too unless that lies on a volume of the cluster, a
schedule code and configuration. The run's ingest looks at the source in any case, and its report completes the fingerprint.
"""

import json
from pathlib import Path
from typing import Any

from edgepress.contracts.config import BUILTIN_SOURCES, PipelineConfig
from edgepress.contracts.digest import Digest
from edgepress.contracts.last_verdict import Fingerprint
from edgepress.device.digest import digest_bytes, digest_file
from edgepress.storage.source_digest import S3_SCHEME, digest_in_place
from edgepress_pipelines.kubeflow.image_lock import TASK_IMAGES, ImageLock

_PIPELINE_FUNCTION = Path(__file__).parents[1] / "compress_and_release.py"


def take_fingerprint(config: PipelineConfig, lock: ImageLock, *, dataset: Digest | None = None) -> Fingerprint:
    """Digests of the code and of the configuration, as they are now, beside the dataset's.

    Code is the digests of the images that tasks run in, wherever they were pulled from, and the pipeline function's own source, because
    the graph is compiled from it and is in no image. Another agent or controller image gives the same verdict.

    Args:
        config, lock: what a run is computed from.
        dataset: of the source, from ``digest_dataset``; None leaves it to the run, which looks at the source itself.

    Raises:
        InputError: the module or the adopted model cannot be read, or the lock lacks an image.
        StorageError: the object store cannot be reached or refuses.
    """
    configuration = digest_bytes(_canonical(configuration_that_matters(config)))
    return Fingerprint(code=_digest_code(lock), configuration=configuration, dataset=dataset)


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

    Left out: ``schedule``; all of ``resources`` but where and with how many processors latency is measured (``evaluator.cpu``,
    ``evaluator.accelerator`` and ``node_selector``), because a latency holds for its hardware only. ``dataset.source`` is left out
    because its content is a digest of its own; ``baseline.module`` and ``baseline.from`` stand as their digests, so the same
    files at another path are the same configuration.

    Raises:
        InputError: the module or the adopted model cannot be read.
        StorageError: the object store cannot be reached or refuses.
    """
    matters: dict[str, Any] = config.model_dump(mode="json", exclude={"schedule": True, "resources": True, "dataset": {"source"}})
    if config.baseline.module is not None:
        matters["baseline"]["module"] = digest_in_place(config.baseline.module, "baseline.module")
    if config.baseline.from_ is not None:
        matters["baseline"]["from"] = digest_in_place(config.baseline.from_, "baseline.from")
    kubeflow = config.resources.kubeflow
    matters["measured_on"] = {
        "evaluator": kubeflow.evaluator.model_dump(mode="json", include={"cpu", "accelerator"}),
        "node_selector": kubeflow.node_selector,
    }
    return matters


def _digest_code(lock: ImageLock) -> str:
    pulled = {name: lock.reference(name).rpartition("@")[2] for name in TASK_IMAGES}
    return digest_bytes(_canonical({"images": pulled, "pipeline": digest_file(_PIPELINE_FUNCTION)}))


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
