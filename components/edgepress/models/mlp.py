"""A multilayer perceptron for any inputs: each is flattened, several are concatenated."""

from edgepress.contracts.builtin_models import MlpParams
from edgepress.contracts.dataset import InputSpec
from edgepress.models.keras import keras


def build_mlp(inputs: tuple[InputSpec, ...], size: int, output: str, params: MlpParams) -> keras.Model:
    """Dense layers with ReLU, and one without that is named ``output`` and gives [batch, size]: logits, or a regression's values.
    Without batch normalization, which quantization-aware training supports only after a convolution."""
    layers = keras.layers
    tensors = [keras.Input(shape=spec.shape, name=spec.name) for spec in inputs]
    flat = [
        tensor if len(tensor.shape) == 2 else layers.Flatten(name=f"{spec.name}_flat")(tensor)
        for spec, tensor in zip(inputs, tensors, strict=True)
    ]
    x = flat[0] if len(flat) == 1 else layers.Concatenate(name="joined")(flat)
    for index, units in enumerate(params.hidden):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"hidden_{index}")(x)
    return keras.Model(tensors, layers.Dense(size, name=output)(x), name="mlp")
