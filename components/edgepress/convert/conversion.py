"""A candidate's shipped files: written, then loaded and looked into."""

import itertools
import shutil

from edgepress.contracts.candidate import KERAS_NAME, MODULE_NAME, SAVED_MODEL_NAME, TFLITE_NAME
from edgepress.contracts.stages import ConvertSettings
from edgepress.convert.inspection import check_tflite
from edgepress.convert.representative import representative_inputs
from edgepress.convert.saved_model import check_saved_model, write_saved_model
from edgepress.convert.serving import is_quantization_aware
from edgepress.convert.tflite import to_tflite
from edgepress.device.digest import digest_file, digest_tree
from edgepress.device.files import write_atomically
from edgepress.models.outputs import output_meaning
from edgepress.models.storage import load_model
from edgepress.models.user_module import load_user_module
from edgepress.stages.stage import StageInput, StageResult

CHECKED_EXAMPLES = 8


def convert_candidate(given: StageInput, settings: ConvertSettings) -> StageResult:
    """Write ``model.tflite`` and ``saved_model/`` beside the Keras model, and refuse files that are not what was asked for.

    Facts: ``tflite_bytes``, ``calibrated_on`` examples (0 when the model brings its ranges or needs none), ``operators`` with their
    counts, ``saved_model_difference``: the largest absolute difference of an output from the Keras model's.

    Raises:
        StageError: the model cannot be converted as asked, or a file does not hold up.
    """
    manifest = given.dataset.manifest
    user_module = load_user_module(given.candidate / MODULE_NAME)
    model = load_model(given.candidate)
    meaning = output_meaning(model, manifest.learning_task)
    calibrates = settings.quantization == "int8" and not is_quantization_aware(model)
    content = to_tflite(
        model,
        settings,
        inputs=manifest.inputs,
        meaning=meaning,
        user_module=user_module,
        representative=representative_inputs(given.dataset, settings.representative_dataset) if calibrates else None,
    )
    examples = list(itertools.islice(representative_inputs(given.dataset, settings.representative_dataset), CHECKED_EXAMPLES))
    preprocesses = user_module is not None and user_module.preprocess is not None
    operators = check_tflite(
        content,
        settings,
        example=examples[0],
        output_shapes=manifest.output_shapes,
        float_preprocessing=preprocesses and not calibrates,
    )
    saved_model = given.work / SAVED_MODEL_NAME
    write_saved_model(model, saved_model, manifest.inputs, meaning, user_module)
    difference = check_saved_model(saved_model, model, examples, user_module)
    tflite = given.work / TFLITE_NAME
    write_atomically(tflite, content)
    shutil.copyfile(given.candidate / KERAS_NAME, given.work / KERAS_NAME)
    samples = min(settings.representative_dataset.samples, manifest.counts["train"])
    return StageResult(
        facts={
            "tflite_bytes": len(content),
            "calibrated_on": samples if calibrates else 0,
            "operators": dict(operators),
            "saved_model_difference": difference,
        },
        artifacts={"tflite": digest_file(tflite), "saved_model": digest_tree(saved_model)},
    )
