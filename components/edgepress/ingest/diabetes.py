"""``diabetes``: 442 patients, ten measurements each, and how far the disease went a year later; from scikit-learn, which carries them.

Efron, Hastie, Johnstone, Tibshirani 2004, "Least Angle Regression", Annals of Statistics 32(2):407-499. No official splits.
"""

import numpy as np

from edgepress.ingest.content import Examples, SourceContent


def read_diabetes() -> SourceContent:
    """Read the patients: one input ``features``, float32 [10], each feature with mean 0 and variance 1 over the set; one target from 25 to
    346."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    examples = Examples(
        # The columns come with a sum of squares of 1.
        inputs={"features": (bunch.data * np.sqrt(len(bunch.data))).astype(np.float32)},
        labels=bunch.target.astype(np.float32)[:, np.newaxis],
        where=lambda index: f"diabetes: patient {index}",
        slices={},
    )
    return SourceContent(name="diabetes", labels=("disease_progression",), given={"train": examples})
