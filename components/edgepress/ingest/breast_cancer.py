"""``breast-cancer``: 569 tumours, thirty measurements of cell nuclei each, benign or malignant; from scikit-learn, which carries them.

Wolberg, Mangasarian, Street 1993, "Breast Cancer Wisconsin (Diagnostic)", UCI Machine Learning Repository. No official splits. What is
malignant is the anomaly.
"""

import numpy as np

from edgepress.ingest.content import Examples, SourceContent

BENIGN = 1
"""In scikit-learn's own numbering."""


def read_breast_cancer() -> SourceContent:
    """Read the tumours: one input ``features``, float32 [30], each feature with mean 0 and variance 1 over the set; labels ``benign`` and
    ``malignant``."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    features = (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0)
    examples = Examples(
        inputs={"features": features.astype(np.float32)},
        labels=(bunch.target != BENIGN).astype(np.int64),
        where=lambda index: f"breast-cancer: tumour {index}",
        slices={},
    )
    return SourceContent(name="breast-cancer", labels=("benign", "malignant"), given={"train": examples})
