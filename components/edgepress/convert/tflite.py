"""Keras to ``.tflite``."""

import re
from collections.abc import Iterable
from typing import Any

from tensorflow.lite.python.convert_phase import ConverterError

from edgepress.contracts.dataset import InputSpec
from edgepress.contracts.stages import ConvertSettings
from edgepress.convert.serving import ServingModel, is_quantization_aware
from edgepress.errors import StageError
from edgepress.models.keras import tf
from edgepress.models.user_module import UserModule
from edgepress.tasks.observations import OutputMeaning


def to_tflite(
    model: Any,
    settings: ConvertSettings,
    *,
    inputs: tuple[InputSpec, ...],
    meaning: OutputMeaning,
    user_module: UserModule | None = None,
    representative: Iterable[dict[str, Any]] | None = None,
) -> bytes:
    """Convert a Keras model for a batch of one example.

    The batch is fixed because layers stay in float32 with a dynamic one (a quantization-aware Dense on sequences), and
    microcontrollers cannot run what it compiles to.

    Args:
        model: plain, or quantization-aware, in which case its own ranges are used and ``representative`` is not.
        settings: quantization, types and granularity.
        inputs: the dataset's; they name the signature's, and give them their dtypes.
        meaning: of the model's output; names the signature's.
        user_module: its ``preprocess`` becomes part of the graph.
        representative: examples as input name -> array [1, *shape]; needed by int8 unless the model is quantization-aware.

    Returns:
        The file's content; the same for the same model and settings.

    Raises:
        StageError: the converter cannot convert the model as asked.
    """
    serving = ServingModel(model, inputs, meaning, user_module, batch_size=1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serving.signature], serving)
    if settings.quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if settings.quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if settings.granularity == "per_tensor" and not is_quantization_aware(model):
        # Private, and the only way: there is no public setting.
        converter._experimental_disable_per_channel = True  # noqa: SLF001
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
    if settings.quantization == "int8":
        io_type = tf.int8 if settings.io == "int8" else tf.float32
        converter.inference_input_type = io_type
        converter.inference_output_type = io_type
        if not is_quantization_aware(model):
            assert representative is not None, "int8 needs representative examples"
            examples = list(representative)
            converter.representative_dataset = lambda: iter(examples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        content: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError) as error:
        # The converter has one error of its own and raises Python's for whatever its preparation does not support.
        raise StageError(
            f"conversion to {settings.quantization} failed: {_first_sentence(error)}; change the model or the quantization"
        ) from error
    return content


def _first_sentence(error: Exception) -> str:
    """The line that says what is wrong: the converter's message begins with source locations and ends with advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = next((line for line in lines if "error:" in line or "not supported" in line or "failed" in line), lines[0] if lines else "")
    return re.sub(r"^.*?error:\s*", "", telling)[:300].rstrip(".") or type(error).__name__
