"""Which examples calibrate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgepress.convert.representative import stratified_draw

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=200).map(lambda values: np.array(values, np.int64))


@given(labels=label_lists, samples=st.integers(1, 250), seed=st.integers(0, 3))
def test_classes_have_their_share(labels: np.ndarray, samples: int, seed: int) -> None:
    drawn = stratified_draw(labels, samples, seed)
    assert len(drawn) == min(samples, len(labels))
    assert len(set(drawn.tolist())) == len(drawn)
    assert (np.diff(drawn) > 0).all()
    for label in np.unique(labels):
        share = len(drawn) * np.mean(labels == label)
        assert abs(np.sum(labels[drawn] == label) - share) < 1.0


@given(labels=label_lists, samples=st.integers(1, 250))
def test_the_draw_follows_from_the_seed(labels: np.ndarray, samples: int) -> None:
    assert np.array_equal(stratified_draw(labels, samples, 7), stratified_draw(labels, samples, 7))


def test_another_seed_draws_others() -> None:
    labels = np.arange(1000) % 10
    assert not np.array_equal(stratified_draw(labels, 100, 0), stratified_draw(labels, 100, 1))
