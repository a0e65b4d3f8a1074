"""Magnitude pruning of a Keras model with TensorFlow Model Optimization (Zhu, Gupta 2017, arXiv:1710.01878)."""

from typing import Any

from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
from tensorflow_model_optimization.sparsity import keras as sparsity_api

from edgepress.compress.prune.schedule import PruningSteps, plan_pruning
from edgepress.contracts.candidate import MODULE_NAME
from edgepress.contracts.stages import PruneSettings
from edgepress.errors import StageError
from edgepress.models.keras import set_seed
from edgepress.models.kernels import kernels, leaf_layers, sparsity, sparsity_by_layer
from edgepress.models.storage import load_model, save_model
from edgepress.models.user_module import load_user_module
from edgepress.models.wrapping import wrap_layers
from edgepress.stages.stage import StageInput, StageResult
from edgepress.train.fit import fit, steps_per_epoch


def prune_candidate(given: StageInput, settings: PruneSettings) -> StageResult:
    """Train a candidate's model while its smallest weights are set to zero; write the stripped model.

    Kept is the epoch that is best on validation data among those that end at the final sparsity; early stopping counts only those, too.

    Facts: ``sparsity`` over the pruned kernels together, ``sparsity_by_layer``, ``sparsity_of_all_kernels``, ``skipped_layers`` that have a
    kernel but are not pruned, the steps used, and what the training tells of itself.

    Raises:
        StageError: nothing in the model can be pruned, a layer to skip is not there, the schedule does not fit the training, or the
            training diverges.
    """
    per_epoch = steps_per_epoch(given.dataset.manifest.counts["train"], settings.train.batch_size)
    steps = plan_pruning(settings, per_epoch)
    set_seed(settings.train.seed)
    schedule = _schedule(settings, steps)
    source = load_model(given.candidate)
    _require_layers(source, settings.skip_layers)
    model, wrappers = wrap_layers(
        source,
        lambda layer: (
            sparsity_api.prune_low_magnitude(layer, pruning_schedule=schedule)
            if layer.name not in settings.skip_layers and _is_prunable(layer)
            else None
        ),
    )
    if not wrappers:
        found = ", ".join(dict.fromkeys(type(layer).__name__ for layer in leaf_layers(model)))
        raise StageError(f"nothing in model {model.name} can be pruned: its layers are {found}; drop prune from the recipe")

    # Epochs before the final sparsity look better only because less is pruned.
    fitted = fit(
        model,
        given.dataset,
        settings.train,
        user_module=load_user_module(given.candidate / MODULE_NAME),
        callbacks=(sparsity_api.UpdatePruningStep(),),
        counts_from_epoch=steps.final_from_epoch(per_epoch),
        state=given.state,
        started_from=given.started_from,
    )
    stripped = sparsity_api.strip_pruning(model)
    everything = kernels(stripped)
    pruned = {name: kernel for name, kernel in everything.items() if name.split("/")[0] in wrappers}
    save_model(stripped, given.work)
    return StageResult(
        facts={
            "sparsity": sparsity(pruned),
            "sparsity_by_layer": dict(sparsity_by_layer(pruned)),
            "sparsity_of_all_kernels": sparsity(everything),
            "skipped_layers": [name for name in everything if name not in pruned],
            "begin_step": steps.begin_step,
            "end_step": steps.end_step,
            "steps": fitted.steps,
            **fitted.facts,
        },
        curves=fitted.curves,
    )


def _schedule(settings: PruneSettings, steps: PruningSteps) -> Any:
    if settings.schedule == "constant":
        return sparsity_api.ConstantSparsity(
            settings.final_sparsity, begin_step=steps.begin_step, end_step=steps.end_step, frequency=steps.frequency
        )
    return sparsity_api.PolynomialDecay(
        initial_sparsity=settings.initial_sparsity,
        final_sparsity=settings.final_sparsity,
        begin_step=steps.begin_step,
        end_step=steps.end_step,
        power=3,
        frequency=steps.frequency,
    )


def _require_layers(model: Any, names: tuple[str, ...]) -> None:
    present = [layer.name for layer in leaf_layers(model) if layer.trainable_weights]
    unknown = [name for name in names if name not in present]
    if unknown:
        raise StageError(f"skip_layers: model {model.name} has no layer {', '.join(unknown)}; its layers are {', '.join(present)}")


def _is_prunable(layer: Any) -> bool:
    """Whether TensorFlow Model Optimization prunes weights of this layer: by its registry, or because the layer says which."""
    if not layer.trainable_weights:
        return False
    if hasattr(layer, "get_prunable_weights"):
        return bool(layer.get_prunable_weights())
    return PruneRegistry.supports(layer) and bool(PruneRegistry.make_prunable(layer).get_prunable_weights())
