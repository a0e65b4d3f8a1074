"""Golden examples: inputs that travel with the models, and the outputs that each gave for them on the machine that bundled it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import ARTIFACT_PATHS, ArtifactKind, StageRecord
from edgepress.contracts.dataset import Split
from edgepress.contracts.release import MANIFEST_NAME, GoldenExamples, ReleaseManifest
from edgepress.device.archive import read_archive, write_archive
from edgepress.device.self_test import GOLDEN_INPUTS_NAME, GOLDEN_OUTPUTS_KEY, check_golden, golden_name
from edgepress.device.tensors import TensorSpec
from edgepress.errors import IntegrityError
from edgepress.runtimes.artifact import read_artifact
from edgepress.runtimes.registry import open_artifact

TOLERATED_SHARE = {"float32": 1e-3, "float16": 1e-2, "dynamic_range": 1e-2, "int8": 2e-2}
"""Share of the spread of the expected outputs by which another machine's may differ. Kernels sum in another order (float32), compute in
half precision (float16), round activations differently while running (dynamic_range), or to a neighbouring step of 255 (int8)."""

INTEGER_STEPS = 2
"""An integer output may be this many of its own steps away, should that be more."""

TOLERATED_TOLERANCE = 2.0
"""A manifest's tolerance may be this many times what its own model, trace and expected outputs give: enough for a release that allowed a
little more, too little to let another model through."""


def write_golden(
    bundle: Path, trace: Sequence[StageRecord], kinds: Sequence[ArtifactKind], validation: Split, examples: int
) -> GoldenExamples:
    """Run the bundle's own artifacts on examples spread evenly over the validation split, and write inputs and outputs.

    Args:
        bundle: directory that holds the artifacts; ``golden/`` is made in it.
        trace: the stages that made the candidate, for how it was quantized.
        kinds: of artifacts to run.
        validation: the validation split.
        examples: at most how many; a smaller split gives all it has.

    Raises:
        IntegrityError: an output is NaN or infinite, or the candidate was never converted.
        InputError: a runtime is not installed here.
        ModelError: an artifact cannot run on these inputs.
    """
    chosen = np.unique(np.linspace(0, len(validation) - 1, num=min(examples, len(validation)), dtype=np.int64))
    inputs = {name: np.asarray(array[chosen]) for name, array in validation.inputs.items()}
    (bundle / GOLDEN_INPUTS_NAME).parent.mkdir()
    write_archive(bundle / GOLDEN_INPUTS_NAME, inputs)
    tolerance: dict[ArtifactKind, float] = {}
    for kind in kinds:
        artifact = read_artifact(bundle, kind)
        model = open_artifact(artifact)
        expected = model.predict(inputs)
        if not np.isfinite(expected).all():
            raise IntegrityError(f"{artifact.path}: gives NaN or infinity for examples of the validation split; it cannot be released")
        write_archive(bundle / golden_name(kind), {GOLDEN_OUTPUTS_KEY: expected})
        tolerance[kind] = _tolerance(_arithmetic(bundle, trace, kind), model.output, expected)
    return GoldenExamples(examples=len(chosen), tolerance=tolerance)


def check_all_golden(bundle: Path, manifest: ReleaseManifest) -> None:
    """Run every artifact of a bundle that has golden outputs, on this machine, and compare.

    Raises:
        IntegrityError: an output differs by more than the tolerance, the archives are not what the manifest says, or the tolerance is not
            what such outputs need.
        InputError: a runtime is not installed here.
        ModelError: an artifact cannot run on these inputs.
    """
    for kind, tolerance in manifest.golden.tolerance.items():
        artifact = read_artifact(bundle, kind)
        model = open_artifact(artifact)
        check_golden(model, bundle, kind, examples=manifest.golden.examples, tolerance=tolerance, source=str(artifact.path))
        expected = read_archive(bundle / golden_name(kind))[GOLDEN_OUTPUTS_KEY]
        needed = _tolerance(_arithmetic(bundle, manifest.trace, kind), model.output, expected)
        if not tolerance <= TOLERATED_TOLERANCE * needed:
            raise IntegrityError(
                f"{bundle / MANIFEST_NAME}: tolerates {tolerance:.6g} in the outputs of {ARTIFACT_PATHS[kind]}, where {needed:.6g} is "
                "needed; build the bundle again"
            )


def _arithmetic(bundle: Path, trace: Sequence[StageRecord], kind: ArtifactKind) -> str:
    """What the artifact computes in. A SavedModel is float32, but for what quantization-aware training rounds in it."""
    settings = {stage.stage: stage.settings for stage in trace}
    if "convert" not in settings:
        raise IntegrityError(f"{bundle}: the candidate's record names no convert stage; run the recipe again")
    if kind == "saved_model":
        return "int8" if "quantize" in settings else "float32"
    arithmetic = str(settings["convert"].get("quantization"))
    if arithmetic not in TOLERATED_SHARE:
        raise IntegrityError(f"{bundle}: the candidate's record names no known quantization ({arithmetic!r}); run the recipe again")
    return arithmetic


def _tolerance(arithmetic: str, output: TensorSpec, expected: NDArray[Any]) -> float:
    return max(
        TOLERATED_SHARE[arithmetic] * float(np.ptp(expected)), INTEGER_STEPS * (output.scale or 0.0), float(np.finfo(np.float32).eps)
    )
