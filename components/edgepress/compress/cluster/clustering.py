"""Weight clustering of a Keras model with TensorFlow Model Optimization (Han, Mao, Dally 2016, arXiv:1510.00149)."""

from typing import Any

import numpy as np
from tensorflow_model_optimization.clustering.keras import CentroidInitialization, strip_clustering
from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry
from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights

from edgepress.contracts.candidate import MODULE_NAME
from edgepress.contracts.stages import ClusterSettings
from edgepress.errors import StageError
from edgepress.models.keras import keras, set_seed
from edgepress.models.kernels import distinct_values_by_layer, kernels, leaf_layers, sparsity, sparsity_by_layer, weights_by_path
from edgepress.models.storage import load_model, save_model
from edgepress.models.user_module import load_user_module
from edgepress.models.wrapping import wrap_layers
from edgepress.stages.stage import StageInput, StageResult
from edgepress.train.fit import fit

FEWEST_SPARSE_CLUSTERS = 3


def cluster_candidate(given: StageInput, settings: ClusterSettings) -> StageResult:
    """Replace each kernel's values by few centroids and train those; write the stripped model.

    After a prune stage one centroid is held at zero and zeros stay zero (a layer without any gets none). A kernel that already has no
    more different values than clusters, as a small and sparse one may, is left alone.

    Facts: ``distinct_values_by_layer`` of the clustered kernels, ``skipped_layers`` that have a kernel but are not clustered,
    ``preserved_sparsity`` and, where it was, ``sparsity`` of the clustered kernels before and after, and what the training tells of
    itself.

    Raises:
        StageError: nothing in the model can be clustered, there are too few clusters to hold zeros apart, or the training diverges.
    """
    keep_zeros = given.record.stage("prune") is not None
    if keep_zeros and settings.number_of_clusters < FEWEST_SPARSE_CLUSTERS:
        raise StageError(
            f"cluster.number_of_clusters {settings.number_of_clusters} is too few after prune, whose zeros take one cluster; "
            f"give at least {FEWEST_SPARSE_CLUSTERS}"
        )
    set_seed(settings.train.seed)
    source = load_model(given.candidate)
    before = kernels(source)
    with_zeros = {name.split("/")[0] for name, kernel in before.items() if keep_zeros and (kernel == 0.0).any()}
    model, wrappers = wrap_layers(
        source,
        lambda layer: (
            cluster_weights(
                layer,
                number_of_clusters=settings.number_of_clusters,
                cluster_centroids_init=CentroidInitialization.KMEANS_PLUS_PLUS,
                preserve_sparsity=layer.name in with_zeros,
            )
            if _is_clusterable(layer, settings.number_of_clusters)
            else None
        ),
    )
    if not wrappers:
        found = ", ".join(dict.fromkeys(type(layer).__name__ for layer in leaf_layers(model)))
        raise StageError(
            f"nothing in model {model.name} can be put into {settings.number_of_clusters} clusters: its layers are {found}; "
            "use fewer clusters or drop cluster from the recipe"
        )

    fitted = fit(
        model,
        given.dataset,
        settings.train,
        user_module=load_user_module(given.candidate / MODULE_NAME),
        state=given.state,
        started_from=given.started_from,
    )
    stripped = load_model(given.candidate)
    _move_weights(strip_clustering(model), stripped)
    everything = kernels(stripped)
    clustered = {name: kernel for name, kernel in everything.items() if name.split("/")[0] in wrappers}
    save_model(stripped, given.work)
    facts: dict[str, Any] = {
        "distinct_values_by_layer": distinct_values_by_layer(clustered),
        "skipped_layers": [name for name in everything if name not in clustered],
        "preserved_sparsity": keep_zeros,
        **fitted.facts,
    }
    if keep_zeros:
        facts["sparsity_before"] = sparsity({name: before[name] for name in clustered})
        facts["sparsity"] = sparsity(clustered)
        facts["sparsity_by_layer"] = sparsity_by_layer(clustered)
    return StageResult(facts=facts, curves=fitted.curves)


def _move_weights(source: Any, target: Any) -> None:
    """Give a model the weights of another of the same layers, by their paths.

    Stripping leaves the weights of an attention layer in another order, and a stored model is loaded by their order.
    """
    for own, other in zip(leaf_layers(source), leaf_layers(target), strict=True):
        values, variables = weights_by_path(own), weights_by_path(other)
        if values.keys() != variables.keys():
            other.set_weights(own.get_weights())
            continue
        for path, variable in variables.items():
            variable.assign(values[path])


def _is_clusterable(layer: Any, number_of_clusters: int) -> bool:
    """Whether TensorFlow Model Optimization clusters weights of this layer, and they have more different values than clusters."""
    if not layer.trainable_weights or isinstance(layer, keras.layers.DepthwiseConv2D) or not ClusteringRegistry.supports(layer):
        return False
    weights = ClusteringRegistry.make_clusterable(layer).get_clusterable_weights()
    return bool(weights) and all(np.unique(weight.numpy()).size > number_of_clusters for _, weight in weights)
