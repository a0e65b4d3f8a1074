"""The fingerprint of a run before it starts: what its verdict will follow from, as three digests."""

import json
from pathlib import Path
from typing import Any

from edgepress.contracts.config import PipelineConfig
from edgepress.contracts.digest import digest_bytes, digest_file
from edgepress.contracts.last_verdict import Fingerprint
from edgepress.ingest.source_digest import digest_in_place
from edgepress_pipelines.kubeflow.image_lock import TASK_IMAGES, ImageLock

_PIPELINE_FUNCTION = Path(__file__).parents[1] / "compress_and_release.py"


def run_fingerprint(config: PipelineConfig, lock: ImageLock) -> str:
    """The text of the pipeline's parameter ``fingerprint``; see :func:`take_fingerprint`."""
    return take_fingerprint(config, lock).as_parameter()


def take_fingerprint(config: PipelineConfig, lock: ImageLock) -> Fingerprint:
    """Digests of the dataset's source, of the code and of the configuration, as they are now.

    Code is the digests of the images that tasks run in, wherever they were pulled from, and the pipeline function's own source, because
    the graph is compiled from it and is in no image. Another agent or controller image gives the same verdict.

    Raises:
        InputError: the source, the module or the adopted model cannot be read, or the lock lacks an image.
        StorageError: the object store cannot be reached or refuses.
    """
    return Fingerprint(
        dataset=digest_in_place(config.dataset.source, "dataset.source"),
        code=_digest_code(lock),
        config=digest_bytes(_canonical(configuration_that_matters(config))),
    )


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
