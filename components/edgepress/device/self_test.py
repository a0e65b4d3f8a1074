"""The golden self-test: a model gives on this machine what it gave where it was bundled, on inputs that travel with it.

golden/inputs.npz     one array [n, *shape] for each named input
golden/<kind>.npz     ``outputs``: float32 [n, *output shape], what the artifact of that kind gave for them
"""

from pathlib import Path

import numpy as np

from edgepress.device.archive import read_archive
from edgepress.device.model import RunnableModel
from edgepress.errors import IntegrityError

GOLDEN_INPUTS_NAME = "golden/inputs.npz"
GOLDEN_OUTPUTS_KEY = "outputs"


def golden_name(kind: str) -> str:
    """Path in a bundle of what the artifact of a kind is expected to give."""
    return f"golden/{kind}.npz"


def check_golden(model: RunnableModel, bundle: Path, kind: str, *, examples: int, tolerance: float, source: str) -> None:
    """Run a model on a bundle's golden inputs, on this machine, and compare.

    Args:
        model: the bundle's artifact of that kind, opened.
        bundle: directory that holds ``golden/``.
        kind: of artifact.
        examples: how many there must be.
        tolerance: largest absolute difference of an output value that still counts as the same.
        source: what to call the model in errors.

    Raises:
        IntegrityError: an output differs by more than the tolerance, or the archives do not hold the examples.
        ModelError: the model cannot run on these inputs.
    """
    inputs = read_archive(bundle / GOLDEN_INPUTS_NAME)
    expected = read_archive(bundle / golden_name(kind)).get(GOLDEN_OUTPUTS_KEY)
    if not inputs or expected is None or any(array.shape[:1] != (examples,) for array in (*inputs.values(), expected)):
        raise IntegrityError(
            f"{bundle / golden_name(kind)}: does not hold expected outputs of {examples} golden inputs; fetch the bundle again"
        )
    actual = model.predict(inputs)
    if actual.shape != expected.shape:
        raise IntegrityError(f"{source}: gives outputs {list(actual.shape)}, but {list(expected.shape)} are expected; do not use it here")
    differences = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    worst = np.unravel_index(np.argmax(np.nan_to_num(differences, nan=np.inf)), differences.shape)
    if not differences[worst] <= tolerance:  # so that NaN fails as well
        example, *position = (int(index) for index in worst)
        raise IntegrityError(
            f"{source}: output {position} of golden example {example} is {actual[worst]:.6g} on this machine, {expected[worst]:.6g} is "
            f"expected: they differ by {differences[worst]:.6g}, more than the tolerance {tolerance:.6g}; do not use it here"
        )
