"""Refusing a ``.tflite`` file that is not what was asked for. The converter leaves in float32 what it cannot quantize, and says nothing."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.stages import ConvertSettings
from edgepress.errors import ModelError, StageError
from edgepress.tflite.flatbuffer import Graph, Operator, Tensor, read_graph
from edgepress.tflite.litert import LiteRTModel

_TYPE_CHANGES = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})


def check_tflite(
    content: bytes,
    settings: ConvertSettings,
    *,
    example: Mapping[str, NDArray[np.generic]],
    output_shapes: tuple[tuple[int, ...], ...],
    float_preprocessing: bool = False,
) -> dict[str, int]:
    """Load a file's content with LiteRT, run one example, and look for what was asked for.

    Args:
        content: of the ``.tflite`` file.
        settings: what was asked for.
        example: input name -> array [1, *shape].
        output_shapes: that the output of an example may have.
        float_preprocessing: the user's preprocessing, in front of everything that is quantized, may be in float32.

    Returns:
        Operator name -> how often it occurs, the most frequent first.

    Raises:
        StageError: LiteRT does not load or run it, names or types are not those asked for, or an output is NaN or infinite.
    """
    try:
        model = LiteRTModel(content, "the converted model")
        outputs = model.predict(example)
    except ModelError as error:
        raise StageError(str(error)) from error
    names = {spec.name for spec in model.inputs}
    if names != set(example):
        raise StageError(f"the converted model's inputs are {', '.join(sorted(names))}, but the dataset's are {', '.join(sorted(example))}")
    if outputs.shape[1:] not in output_shapes:
        wanted = " or ".join(str(list(shape)) for shape in output_shapes)
        raise StageError(f"the converted model gives shape {list(outputs.shape[1:])}, not {wanted}; build the model for this dataset")
    if not np.isfinite(outputs).all():
        raise StageError("the converted model gives NaN or infinity for a training example")
    _check_types(model, settings, example, float_preprocessing)
    graph = read_graph(content)
    if settings.quantization == "int8":
        _check_integer(graph, float_preprocessing)
    elif settings.quantization != "float32":
        wanted = "float16" if settings.quantization == "float16" else "int8"
        if not any(tensor.dtype == wanted for tensor in graph.constants()):
            raise StageError(
                f"{settings.quantization} was asked for, but no weight became {wanted}: the model is too small to gain from it"
            )
    return dict(Counter(operator.name for operator in graph.operators).most_common())


def _check_types(
    model: LiteRTModel, settings: ConvertSettings, example: Mapping[str, NDArray[np.generic]], float_preprocessing: bool
) -> None:
    """Refuse inputs and outputs of other types than asked for: real numbers are converted, whole numbers stay what they are."""
    io = np.dtype(settings.io)
    expected = [(spec, io if example[spec.name].dtype.kind == "f" else example[spec.name].dtype) for spec in model.inputs]
    for spec, wanted in (*expected, (model.output, io)):
        if spec.dtype != wanted:
            hint = "; use io float32, or drop quantize so that the preprocessing is quantized too" if float_preprocessing else ""
            raise StageError(f"io {settings.io} was asked for, which makes tensor {spec.name} {wanted}, but it is {spec.dtype}{hint}")


def _check_integer(graph: Graph, float_preprocessing: bool) -> None:
    """Refuse operators that compute in float32."""
    quantized: set[int] = set()
    offending: list[Operator] = []
    for operator in graph.operators:
        computed = [tensor for tensor in operator.inputs if tensor is not None and tensor.content is None]
        is_float = any(_is_float(tensor) for tensor in (*computed, *operator.outputs))
        behind_quantized = any(id(tensor) in quantized or (tensor.scales and not _is_float(tensor)) for tensor in computed)
        if operator.name not in _TYPE_CHANGES and is_float and not (float_preprocessing and not behind_quantized):
            offending.append(operator)
        if behind_quantized or operator.name == "QUANTIZE":
            quantized.update(id(tensor) for tensor in operator.outputs)
    if offending:
        shown = ", ".join(f"{operator.name} ({operator.outputs[0].name.split(';')[0]})" for operator in offending[:3])
        more = f" and {len(offending) - 3} more" if len(offending) > 3 else ""
        raise StageError(f"int8 was asked for, but these operators stayed in float32: {shown}{more}; use float16 or dynamic_range")


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype.startswith("float")
