"""A multilayer perceptron for any inputs: each is flattened, several are concatenated."""

from edgepress.contracts.dataset import InputSpec
from edgepress.models.keras import keras
from edgepress.models.parameters import MlpParams


def build_mlp(inputs: tuple[InputSpec, ...], num_classes: int, params: MlpParams) -> keras.Model:
    """Dense layers with ReLU; outputs logits [batch, num_classes]. Without batch normalization, which quantization-aware training
    supports only after a convolution."""
    layers = keras.layers
    tensors = [keras.Input(shape=spec.shape, name=spec.name) for spec in inputs]
    flat = [
        tensor if len(tensor.shape) == 2 else layers.Flatten(name=f"{spec.name}_flat")(tensor)
        for spec, tensor in zip(inputs, tensors, strict=True)
    ]
    x = flat[0] if len(flat) == 1 else layers.Concatenate(name="joined")(flat)
    for index, units in enumerate(params.hidden):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"hidden_{index}")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(tensors, logits, name="mlp")
