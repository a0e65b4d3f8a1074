"""Putting TensorFlow Model Optimization's training wrappers around the layers they are for, and around no others.

Its own entry points wrap the whole model: one layer they do not know refuses all of it, and the clustering wrapper does not tell
BatchNormalization or Dropout that they are being trained. So each layer is decided on its own.
"""

from collections.abc import Callable
from typing import Any

from edgepress.errors import StageError
from edgepress.models.keras import keras


def wrap_layers(model: Any, wrap: Callable[[Any], Any | None]) -> tuple[Any, dict[str, Any]]:
    """Clone a model with some of its layers wrapped.

    The clone shares the source's layers and weights, and the wrappers change what they wrap: the source is spent afterwards.

    Args:
        model: a Sequential or Functional model; nested ones are descended into.
        wrap: layer -> its wrapper, or None to leave it as it is.

    Returns:
        The clone, and wrapped layer's name -> its wrapper in the model's order.

    Raises:
        StageError: the model, or one inside it, is neither Sequential nor Functional.
    """
    wrappers: dict[str, Any] = {}

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return clone_model(layer)
        wrapper = wrap(layer)
        if wrapper is None:
            return layer
        wrappers[layer.name] = wrapper
        return wrapper

    def clone_model(source: Any) -> Any:
        require_graph(source)
        return keras.models.clone_model(source, clone_function=clone)

    return clone_model(model), wrappers


def require_graph(model: Any) -> None:
    """Refuse a subclassed model, whose layers cannot be rearranged.

    Raises:
        StageError: the model is neither Sequential nor Functional.
    """
    if not (isinstance(model, keras.Sequential) or getattr(model, "_is_graph_network", False)):
        raise StageError(f"model {model.name} is subclassed; only Sequential and Functional models can be compressed")
