"""Which layers keep what under quantization-aware training.

TensorFlow Model Optimization has three schemes that preserve (PQAT, CQAT, PCQAT), each for a whole model. Their quantizers are used
here, one for each layer that has something to keep: theirs are shared, so that the first layer without zeros ends the preservation of
zeros for all that follow, and a layer never clustered is treated as if each of its values were a cluster.
"""

from dataclasses import dataclass
from typing import Any

from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve.cluster_preserve_quantize_registry import (
    ClusterPreserveDefault8BitConvWeightsQuantizer,
    ClusterPreserveDefault8BitWeightsQuantizer,
)
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve.prune_preserve_quantize_registry import (
    PrunePreserveDefault8BitConvWeightsQuantizer,
    PrunePreserveDefault8BitWeightsQuantizer,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_registry import (
    Default8BitQuantizeRegistry,
)
from tensorflow_model_optimization.quantization.keras.default_8bit import Default8BitQuantizeScheme
from tensorflow_model_optimization.quantization.keras.quantizers import LastValueQuantizer

from edgepress.contracts.candidate import CandidateRecord
from edgepress.models.keras import keras


@dataclass(frozen=True)
class Preservation:
    """What earlier stages made that quantization must keep.

    Attributes:
        pruned: names of layers whose zeros stay.
        clustered: names of layers whose values stay in their clusters.
    """

    pruned: frozenset[str] = frozenset()
    clustered: frozenset[str] = frozenset()

    @classmethod
    def of(cls, record: CandidateRecord) -> "Preservation":
        """What a candidate's trace says."""
        prune, cluster = record.stage("prune"), record.stage("cluster")
        return cls(
            pruned=_layers(prune.facts["sparsity_by_layer"]) if prune else frozenset(),
            clustered=_layers(cluster.facts["distinct_values_by_layer"]) if cluster else frozenset(),
        )

    @property
    def scheme(self) -> str:
        """The field's name for it."""
        return f"{'P' if self.pruned else ''}{'C' if self.clustered else ''}QAT"


class PreservingScheme(Default8BitQuantizeScheme):
    """TensorFlow Lite's 8-bit scheme, with quantizers that preserve where there is something to keep.

    Args:
        preservation: what to keep.
        per_tensor: one range for a convolution's whole kernel instead of one a channel. Depthwise kernels, which have few weights a
            channel and are not clustered, keep one a channel.
    """

    def __init__(self, preservation: Preservation, per_tensor: bool) -> None:
        super().__init__()
        self._preservation = preservation
        self._per_tensor = per_tensor

    def get_quantize_registry(self) -> "PreservingRegistry":
        """What chooses each layer's quantizers."""
        return PreservingRegistry(self._preservation, self._per_tensor)


class PreservingRegistry(Default8BitQuantizeRegistry):
    """Chooses quantizers layer by layer; a new one each time, since a quantizer carries state."""

    def __init__(self, preservation: Preservation, per_tensor: bool) -> None:
        super().__init__()
        self._preservation = preservation
        self._per_tensor = per_tensor

    def get_quantize_config(self, layer: Any) -> Any:
        """The layer's quantization, of a registry of its own: those of convolutions are shared within one."""
        config = Default8BitQuantizeRegistry().get_quantize_config(layer)
        quantizer = self._weight_quantizer(layer)
        if quantizer is not None:
            config.weight_quantizer = quantizer
        return config

    def _weight_quantizer(self, layer: Any) -> Any | None:
        """What replaces the default quantizer of the layer's kernel, or None."""
        is_convolution = type(layer) is keras.layers.Conv2D
        if not is_convolution and type(layer) is not keras.layers.Dense:
            return None
        per_axis = is_convolution and not self._per_tensor
        keep_zeros = layer.name in self._preservation.pruned
        if layer.name in self._preservation.clustered:
            if per_axis:
                return ClusterPreserveDefault8BitConvWeightsQuantizer(keep_zeros)
            return ClusterPreserveDefault8BitWeightsQuantizer(keep_zeros)
        if keep_zeros:
            return PrunePreserveDefault8BitConvWeightsQuantizer() if per_axis else PrunePreserveDefault8BitWeightsQuantizer()
        return None if per_axis else LastValueQuantizer(num_bits=8, per_axis=False, symmetric=True, narrow_range=True)


def _layers(by_layer: Any) -> frozenset[str]:
    return frozenset(name.split("/")[0] for name in by_layer)
