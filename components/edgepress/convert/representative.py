"""The examples that calibrate activation ranges: always real ones, from the training split."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.stages import RepresentativeDataset


def stratified_draw(labels: NDArray[np.int64], samples: int, seed: int) -> NDArray[np.int64]:
    """Draw examples so that classes have their share of the split.

    Each class gives the whole part of its share; the largest fractions, then the smaller labels, give the rest.

    Args:
        labels: int64 [n].
        samples: how many to draw; all n when there are fewer.
        seed: of the draw within a class.

    Returns:
        int64 [min(samples, n)], distinct indices in ascending order.
    """
    samples = min(samples, len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    # In integers: share * n = counts * samples, so that no rounding of floats decides.
    whole, fraction = np.divmod(counts * samples, len(labels))
    missing = samples - int(whole.sum())
    whole[np.argsort(-fraction, kind="stable")[:missing]] += 1
    generator = np.random.default_rng(seed)
    drawn = [
        generator.choice(np.flatnonzero(labels == label), size=count, replace=False) for label, count in zip(classes, whole, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def representative_inputs(dataset: DatasetDirectory, settings: RepresentativeDataset) -> Iterator[dict[str, NDArray[np.generic]]]:
    """One example at a time: input name -> array [1, *shape] of the dataset's dtype."""
    split = dataset.split("train")
    # Targets of a regression are no classes: each example then has the same chance.
    classes = np.asarray(split.labels) if split.labels.dtype.kind == "i" else np.zeros(len(split), np.int64)
    for index in stratified_draw(classes, settings.samples, settings.seed):
        yield {name: np.asarray(array[index : index + 1]) for name, array in split.inputs.items()}
