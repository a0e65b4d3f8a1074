"""Quantization-aware training of a Keras model (Jacob et al. 2018, arXiv:1712.05877) with TensorFlow Model Optimization."""

import re
from typing import Any

from tensorflow_model_optimization.quantization.keras import quantize_annotate_model, quantize_apply, quantize_scope

from edgepress.compress.quantize.plain import move_to_plain
from edgepress.compress.quantize.ranges import calibrate_ranges
from edgepress.compress.quantize.scheme import Preservation, PreservingScheme
from edgepress.contracts.candidate import MODULE_NAME
from edgepress.contracts.stages import QuantizeSettings
from edgepress.errors import StageError, one_line
from edgepress.models.keras import keras, set_seed
from edgepress.models.kernels import distinct_values_by_layer, kernels, sparsity, sparsity_by_layer
from edgepress.models.storage import load_model, save_model
from edgepress.models.user_module import load_user_module
from edgepress.models.wrapping import require_graph
from edgepress.stages.stage import StageInput, StageResult
from edgepress.train.batches import train_batches
from edgepress.train.fit import fit

CALIBRATION_BATCHES = 16


def quantize_candidate(given: StageInput, settings: QuantizeSettings) -> StageResult:
    """Train a candidate's model with simulated 8-bit arithmetic; write the model with its quantize layers.

    Facts: ``scheme`` (QAT, PQAT, CQAT or PCQAT, from the candidate's trace), ``sparsity`` and ``distinct_values_by_layer`` of what
    earlier stages made, as they are afterwards in the Keras model, and what the training tells of itself.

    Raises:
        StageError: the model has something that quantization-aware training does not support, or the training diverges.
    """
    preservation = Preservation.of(given.record)
    per_tensor = settings.granularity == "per_tensor"
    user_module = load_user_module(given.candidate / MODULE_NAME)
    set_seed(settings.train.seed)
    source = load_model(given.candidate)
    with quantize_scope(user_module.call_custom_objects() if user_module else {}):
        model = _apply_scheme(source, PreservingScheme(preservation, per_tensor))
        sample = train_batches(given.dataset, settings.train, user_module).take(CALIBRATION_BATCHES)
        calibrate_ranges(model, sample.map(lambda x, *_: x))
        fitted = fit(model, given.dataset, settings.train, user_module=user_module, state=given.state, started_from=given.started_from)
        if preservation.clustered or per_tensor:
            trained, model = model, _apply_scheme(load_model(given.candidate), PreservingScheme(Preservation(), per_tensor=False))
            move_to_plain(trained, model)
        save_model(model, given.work)

    facts: dict[str, Any] = {"scheme": preservation.scheme, **fitted.facts}
    after = kernels(model)
    pruned = {name: kernel for name, kernel in after.items() if name.split("/")[0] in preservation.pruned}
    clustered = {name: kernel for name, kernel in after.items() if name.split("/")[0] in preservation.clustered}
    if pruned:
        facts |= {"sparsity": sparsity(pruned), "sparsity_by_layer": sparsity_by_layer(pruned)}
    if clustered:
        facts["distinct_values_by_layer"] = distinct_values_by_layer(clustered)
    return StageResult(facts=facts, curves=fitted.curves)


def _apply_scheme(source: Any, scheme: PreservingScheme) -> Any:
    """Wrap the model for quantization-aware training.

    Raises:
        StageError: it does not apply; the sentence names the layer and the way round.
    """
    require_graph(source)
    for layer in source.layers:
        if isinstance(layer, keras.Model):
            raise _refusal(f"layer {layer.name} is a model inside the model")
    try:
        return quantize_apply(quantize_annotate_model(source), scheme)
    except (ValueError, RuntimeError, TypeError, NotImplementedError) as error:
        # tfmot has no error of its own: what it cannot quantize surfaces as one of these.
        message = one_line(error)
        named = re.match(r"Layer (\S+?):<class '([\w.]+)'> is not supported", message)
        if named is not None:
            raise _refusal(f"layer {named[1]} ({named[2].rsplit('.', 1)[-1]}) is not supported") from error
        if "Only some Keras activations" in message:
            raise _refusal(f"{_unsupported_activation(source)} is not supported") from error
        raise _refusal(message[:300].rstrip(".")) from error


def _refusal(what: str) -> StageError:
    return StageError(
        f"quantization-aware training does not apply: {what}; drop quantize from the recipe and let convert quantize after training"
    )


def _unsupported_activation(model: Any) -> str:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import QuantizeAwareActivation as Aware

    supported = Aware._PRE_QUANT_ACTIVATIONS | Aware._POST_QUANT_ACTIVATIONS  # noqa: SLF001 - tfmot lists them nowhere else
    for layer in model.layers:
        name = getattr(getattr(layer, "activation", None), "__name__", None)
        if name is not None and name not in supported:
            return f"activation {name} of layer {layer.name}"
    return "an activation"
