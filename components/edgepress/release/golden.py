"""Golden examples: inputs that travel with the model, and the outputs it gave for them on the machine that bundled it."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import TFLITE_NAME, CandidateRecord
from edgepress.contracts.dataset import Split
from edgepress.contracts.release import GOLDEN_EXPECTED_NAME, GOLDEN_INPUTS_NAME, GOLDEN_OUTPUTS_KEY, GoldenExamples
from edgepress.errors import IntegrityError
from edgepress.tflite.litert import LiteRTModel

TOLERATED_SHARE = {"float32": 1e-3, "float16": 1e-2, "dynamic_range": 1e-2, "int8": 2e-2}
"""Share of the spread of the expected outputs by which another machine's may differ. Kernels sum in another order (float32), compute in
half precision (float16), round activations differently while running (dynamic_range), or to a neighbouring step of 255 (int8)."""

INTEGER_STEPS = 2
"""An integer output may be this many of its own steps away, should that be more."""

Arrays = Mapping[str, NDArray[np.generic]]


def write_golden(bundle: Path, record: CandidateRecord, test: Split, examples: int) -> GoldenExamples:
    """Run the bundle's own ``model.tflite`` on examples spread evenly over the test split, and write inputs and outputs.

    Args:
        bundle: directory that holds ``model.tflite``; ``golden/`` is made in it.
        record: of the candidate, for how it was quantized.
        test: the test split.
        examples: at most how many; a smaller split gives all it has.

    Raises:
        IntegrityError: an output is NaN or infinite, or the candidate was never converted.
        ModelError: LiteRT cannot run the model on these inputs.
    """
    converted = record.stage("convert")
    if converted is None:
        raise IntegrityError(f"{bundle / TFLITE_NAME}: its record names no convert stage; run the recipe again")
    chosen = np.unique(np.linspace(0, len(test) - 1, num=min(examples, len(test)), dtype=np.int64))
    inputs = {name: np.asarray(array[chosen]) for name, array in test.inputs.items()}
    model = LiteRTModel.open(bundle / TFLITE_NAME)
    expected = model.predict(inputs)
    if not np.isfinite(expected).all():
        raise IntegrityError(f"{bundle / TFLITE_NAME}: gives NaN or infinity for examples of the test split; it cannot be released")
    (bundle / GOLDEN_INPUTS_NAME).parent.mkdir()
    write_archive(bundle / GOLDEN_INPUTS_NAME, inputs)
    write_archive(bundle / GOLDEN_EXPECTED_NAME, {GOLDEN_OUTPUTS_KEY: expected})
    share = TOLERATED_SHARE[str(converted.settings["quantization"])]
    step = model.output.scale or 0.0
    tolerance = max(share * float(np.ptp(expected)), INTEGER_STEPS * step, float(np.finfo(np.float32).eps))
    return GoldenExamples(examples=len(chosen), tolerance=tolerance)


def check_golden(bundle: Path, golden: GoldenExamples) -> None:
    """Run the bundle's model on its golden inputs, on this machine, and compare.

    Raises:
        IntegrityError: an output differs by more than the tolerance, or the archives are not what the manifest says.
        ModelError: LiteRT cannot run the model on these inputs.
    """
    inputs = read_archive(bundle / GOLDEN_INPUTS_NAME)
    expected = read_archive(bundle / GOLDEN_EXPECTED_NAME).get(GOLDEN_OUTPUTS_KEY)
    if not inputs or expected is None or {len(array) for array in (*inputs.values(), expected)} != {golden.examples}:
        raise IntegrityError(f"{bundle / GOLDEN_INPUTS_NAME}: does not hold {golden.examples} examples with as many expected outputs")
    actual = LiteRTModel.open(bundle / TFLITE_NAME).predict(inputs)
    if actual.shape != expected.shape:
        raise IntegrityError(f"{bundle / TFLITE_NAME}: gives outputs {list(actual.shape)}, but {list(expected.shape)} are expected")
    differences = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max(axis=1)
    worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
    if not differences[worst] <= golden.tolerance:  # so that NaN fails as well
        raise IntegrityError(
            f"{bundle / TFLITE_NAME}: output of golden example {worst} differs by {differences[worst]:.6g} on this machine, "
            f"more than the tolerance {golden.tolerance:.6g}; do not use it here"
        )


def write_archive(path: Path, arrays: Arrays) -> None:
    """Write a ``.npz`` file, the same bytes for the same arrays. Unlike ``numpy.savez`` it takes any name, ``file`` too."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_archive(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a ``.npz`` file without ever unpickling.

    Raises:
        IntegrityError: it is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path}: is not a readable .npz file of plain arrays") from error
