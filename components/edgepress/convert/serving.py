"""What is shipped: the user's preprocessing and the model behind one signature with named inputs and outputs."""

from typing import Any

from edgepress.contracts.dataset import InputSpec
from edgepress.errors import StageError
from edgepress.models.keras import keras, tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.observations import OutputMeaning

SIGNATURE = "serving_default"


class ServingModel(tf.Module):
    """A model as its callers see it.

    ``serve`` takes the dataset's inputs by name, each [batch, *shape] of the dataset's dtype, and gives one output, float32
    [batch, *output shape], that is named for what it means.

    Args:
        model: the Keras model.
        inputs: the dataset's.
        meaning: of the model's output.
        user_module: its ``preprocess`` becomes part of the graph.
        batch_size: fixed, or None for any.

    Raises:
        StageError: the model does not take as many inputs as the dataset has.
    """

    def __init__(
        self, model: Any, inputs: tuple[InputSpec, ...], meaning: OutputMeaning, user_module: UserModule | None, batch_size: int | None
    ) -> None:
        super().__init__(name="serving_model")
        if len(model.inputs) != len(inputs):
            raise StageError(f"model {model.name} takes {len(model.inputs)} inputs, but the dataset has {len(inputs)}")
        # The variables alone: tracking the Keras model would store Keras's own trace of every layer beside the signature.
        self.variables_of_model = list(model.weights)

        def serve(**named: Any) -> dict[str, Any]:
            x: Any = next(iter(named.values())) if len(named) == 1 else named
            if user_module is not None and user_module.preprocess is not None:
                x = user_module.call("preprocess", x)
            return {meaning: tf.cast(model(x, training=False), tf.float32)}

        self.serve = tf.function(serve)
        self.signature = self.serve.get_concrete_function(
            **{spec.name: tf.TensorSpec([batch_size, *spec.shape], tf.dtypes.as_dtype(spec.dtype), name=spec.name) for spec in inputs}
        )


def is_quantization_aware(model: keras.Model) -> bool:
    """Whether the model went through quantization-aware training: it then brings its ranges along."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)
