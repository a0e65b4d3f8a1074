"""``digits``: 1,797 handwritten digits, 8x8x1, from scikit-learn, which carries them; needs no network and no file.

No two of the images are alike. The set has no official splits.
"""

import numpy as np

from edgepress.ingest.content import Examples, SourceContent

MAX_VALUE = 16.0
"""Pixels are counts from 0 to 16."""


def read_digits() -> SourceContent:
    """Read the digits: one input ``image``, float32 [8, 8, 1] in [0, 1]; labels ``0`` to ``9``."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[..., np.newaxis] / MAX_VALUE).astype(np.float32)
    examples = Examples(
        inputs={"image": images},
        labels=bunch.target.astype(np.int64),
        where=lambda index: f"digits: image {index}",
        slices={},
    )
    return SourceContent(name="digits", labels=tuple(str(digit) for digit in bunch.target_names), given={"train": examples})
