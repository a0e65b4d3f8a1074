"""What an artifact is before it runs: its metrics of source ``file``, and the kernels that it holds."""

from edgepress.contracts.evaluation import LayerWeights
from edgepress.contracts.metrics import Metrics
from edgepress.evaluate.footprint import count_macs, count_parameters, gzip_size
from edgepress.evaluate.inspect import inspect_weights, overall_sparsity
from edgepress.runtimes.artifact import Artifact
from edgepress.tasks.registry import MACS, PARAMETERS, SIZE_BYTES, SIZE_GZIP_BYTES, SPARSITY
from edgepress.tflite.flatbuffer import read_graph


def measure_file(artifact: Artifact) -> tuple[Metrics, tuple[LayerWeights, ...]]:
    """Sizes of any artifact; of a ``.tflite`` file also what its graph holds. A directory's sizes are the sums over its files.

    Raises:
        ModelError: a ``.tflite`` file cannot be read.
    """
    if artifact.content is not None:
        contents = [artifact.content]
    else:
        contents = [path.read_bytes() for path in sorted(artifact.path.rglob("*")) if path.is_file()]
    metrics: Metrics = {
        SIZE_BYTES.name: sum(len(content) for content in contents),
        SIZE_GZIP_BYTES.name: sum(gzip_size(content) for content in contents),
    }
    if artifact.kind != "tflite":
        return metrics, ()
    graph = read_graph(contents[0])
    layers = inspect_weights(graph)
    metrics |= {PARAMETERS.name: count_parameters(graph), MACS.name: count_macs(graph), SPARSITY.name: overall_sparsity(layers)}
    return metrics, layers
