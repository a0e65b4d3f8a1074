"""The compression that a ``.tflite`` file really delivers, read back from its kernels as stored: a recipe's word is not evidence.

Training stages promise zeros and clusters; conversion and quantization may undo them. What counts on a device, and for gzip, is the
stored value. A per-channel quantized kernel stands for more distinct *real* values than it stores, one set for each scale; the stored
ones are counted.
"""

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.evaluation import LayerWeights
from edgepress.tflite.flatbuffer import Graph, Tensor

KERNEL_OPERANDS: dict[str, tuple[int, ...]] = {
    "BATCH_MATMUL": (0, 1),
    "CONV_2D": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "EMBEDDING_LOOKUP": (1,),
    "FULLY_CONNECTED": (1,),
    "GATHER": (0,),
    "SVDF": (1, 2),
    "TRANSPOSE_CONV": (1,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
}
"""Which operands of an operator are its kernel when they are constant: what pruning and clustering act on. Biases are not."""


def inspect_weights(graph: Graph) -> tuple[LayerWeights, ...]:
    """Every kernel in the order in which operators read them, a shared one once.

    Raises:
        ModelError: a kernel is stored in a way that is not read.
    """
    layers = []
    seen = set()
    for operator in graph.operators:
        for index in KERNEL_OPERANDS.get(operator.name, ()):
            kernel = graph.constant_behind(operator.inputs[index] if index < len(operator.inputs) else None)
            if kernel is None or not kernel.is_learned or id(kernel) in seen:
                continue
            seen.add(id(kernel))
            values = kernel.values
            layers.append(
                LayerWeights(
                    tensor=kernel.name,
                    op=operator.name,
                    dtype=kernel.dtype,
                    elements=kernel.elements,
                    sparsity=int(np.count_nonzero(values == _zero(kernel))) / kernel.elements,
                    distinct_values=len(np.unique(values)),
                )
            )
    return tuple(layers)


def overall_sparsity(layers: tuple[LayerWeights, ...]) -> float:
    """Share of zeros over all kernels; 0 for a model without any."""
    elements = sum(layer.elements for layer in layers)
    zeros = sum(layer.sparsity * layer.elements for layer in layers)
    return zeros / elements if elements else 0.0


def _zero(kernel: Tensor) -> NDArray[np.int64]:
    """The stored value that stands for 0, in a shape that broadcasts over the kernel."""
    points = np.array(kernel.zero_points or (0,), np.int64)
    if len(points) == 1:
        return points
    shape = [1] * len(kernel.shape)
    shape[kernel.quantized_dimension] = len(points)
    return points.reshape(shape)
