"""How well a score tells two groups of examples apart."""

import numpy as np
from numpy.typing import NDArray


def auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve: the chance that a positive example scores above a negative one, ties counted half.

    The Mann-Whitney statistic over mid-ranks (Hanley, McNeil 1982, Radiology 143(1):29-36).

    Args:
        scores: [n], higher for what is more likely positive.
        positive: [n].

    Returns:
        From 0 to 1; None unless both groups have an example.
    """
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mid_ranks[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)
