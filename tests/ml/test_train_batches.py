"""What training is fed: every example in a fresh order, the same again after a resumption; augmentation; class weights."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.training import TrainSettings
from edgepress.errors import ConfigError, ModelError
from edgepress.models.keras import tf
from edgepress.models.user_module import UserModule, load_user_module
from edgepress.train import batches
from edgepress.train.augment import MAX_SHIFT_PIXELS, shift_images
from edgepress.train.batches import balanced_class_weights, steps_per_epoch, train_batches, validation_batches
from tests.ml.tiny_candidates import COUNTS, write_dataset

EXAMPLES = sum(COUNTS.values())


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    """Examples that hold their own number in every pixel."""
    numbers = np.arange(EXAMPLES)
    images = np.broadcast_to(numbers[:, None, None, None], (EXAMPLES, 4, 4, 1)).astype(np.float32)
    return write_dataset(tmp_path_factory.mktemp("numbered") / "data", {"image": images}, numbers % 3)


def numbers_of(elements: Any) -> list[list[int]]:
    return [[int(value) for value in x[:, 0, 0, 0].numpy()] for x, *_ in elements]


def test_each_epoch_takes_whole_batches_of_different_examples_in_an_order_of_its_own(numbered: DatasetDirectory) -> None:
    chosen = TrainSettings(epochs=2, batch_size=100)
    steps = steps_per_epoch(COUNTS["train"], 100)
    assert steps == 6
    drawn = numbers_of(train_batches(numbered, chosen, None))
    assert [len(batch) for batch in drawn] == [100] * 2 * steps
    epochs = [list(chain(*drawn[:steps])), list(chain(*drawn[steps:]))]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(COUNTS["train"]))
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_inputs_and_labels_stay_together(numbered: DatasetDirectory) -> None:
    for x, y in train_batches(numbered, TrainSettings(epochs=1, batch_size=64), None):
        np.testing.assert_array_equal(x[:, 0, 0, 0].numpy().astype(int) % 3, y.numpy())


@pytest.mark.parametrize("augment", ["none", "flip_shift"])
def test_a_resumed_training_sees_what_it_would_have_seen(numbered: DatasetDirectory, augment: Any) -> None:
    chosen = TrainSettings(epochs=3, batch_size=128, augment=augment, seed=5)
    whole = [x.numpy() for x, _ in train_batches(numbered, chosen, None)]
    rest = [x.numpy() for x, _ in train_batches(numbered, chosen, None, first_epoch=2)]
    np.testing.assert_array_equal(whole[-len(rest) :], rest)
    other = [x.numpy() for x, _ in train_batches(numbered, chosen.model_copy(update={"seed": 6}), None, first_epoch=2)]
    assert not np.array_equal(other, rest)


def test_augmentation_differs_between_steps_and_epochs(numbered: DatasetDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        batches, "augment_images", lambda images, seed, kind: images * 0 + tf.cast(tf.reduce_sum(seed * [7, 1]), tf.float32)
    )
    for x, _ in train_batches(numbered, TrainSettings(epochs=3, batch_size=64, augment="shift"), None):
        seen.append(float(x[0, 0, 0, 0]))
    assert len(set(seen)) == len(seen)


def test_data_larger_than_memory_gives_the_same_batches(numbered: DatasetDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = TrainSettings(epochs=1, batch_size=64)
    held = numbers_of(train_batches(numbered, chosen, None)), numbers_of(validation_batches(numbered, None))
    monkeypatch.setattr(batches, "IN_MEMORY_LIMIT_BYTES", 0)
    mapped = train_batches(numbered, chosen, None)
    assert mapped.element_spec[0].shape == (64, 4, 4, 1)
    assert (numbers_of(mapped), numbers_of(validation_batches(numbered, None))) == held


def test_validation_is_whole_and_in_order(numbered: DatasetDirectory) -> None:
    drawn = list(chain(*numbers_of(validation_batches(numbered, None))))
    assert drawn == list(range(COUNTS["train"], COUNTS["train"] + COUNTS["validation"]))


def test_fewer_examples_than_a_batch_are_one_step(numbered: DatasetDirectory) -> None:
    drawn = numbers_of(train_batches(numbered, TrainSettings(epochs=1, batch_size=10_000), None))
    assert [sorted(batch) for batch in drawn] == [list(range(COUNTS["train"]))]
    assert steps_per_epoch(COUNTS["train"], 10_000) == 1


def test_several_inputs_come_by_name(tmp_path: Path) -> None:
    images, meta = np.ones((EXAMPLES, 4, 4, 1), np.float32), np.ones((EXAMPLES, 3), np.float32)
    dataset = write_dataset(tmp_path / "data", {"image": images, "meta": meta}, np.arange(EXAMPLES) % 2)
    x, _ = next(iter(train_batches(dataset, TrainSettings(batch_size=8), None)))
    assert {name: tuple(value.shape) for name, value in x.items()} == {"image": (8, 4, 4, 1), "meta": (8, 3)}
    with pytest.raises(ConfigError, match=r"train\.augment: shift moves images .* input meta has shape \[3\]; set it to none"):
        train_batches(dataset, TrainSettings(augment="shift"), None)


@given(counts=st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any))
def test_balanced_weights_give_every_class_the_same_say(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = balanced_class_weights(labels, len(counts))
    says = weights * counts
    np.testing.assert_allclose(weights[labels].mean(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(says[np.array(counts) > 0], len(labels) / np.count_nonzero(counts), rtol=1e-5)


def test_balanced_weights_reach_the_training(numbered: DatasetDirectory) -> None:
    _, y, weights = next(iter(train_batches(numbered, TrainSettings(class_weights="balanced"), None)))
    expected = balanced_class_weights(np.asarray(numbered.split("train").labels), 3)
    np.testing.assert_array_equal(weights.numpy(), expected[y.numpy()])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 2), flip=st.booleans(), shape=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
def test_a_shifted_image_is_the_image_moved_by_whole_pixels(seed: int, flip: bool, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(seed).uniform(0.1, 1.0, (5, *shape)).astype(np.float32)
    moved = shift_images(tf.constant(images), tf.constant([seed, 1]), flip=flip).numpy()
    for image, result in zip(images, moved, strict=True):
        mirrored = [image, image[:, ::-1]] if flip else [image]
        assert any(np.array_equal(result, shifted) for each in mirrored for shifted in all_shifts(each))


def all_shifts(image: Any) -> Any:
    size = MAX_SHIFT_PIXELS
    padded = np.pad(image, ((size, size), (size, size), (0, 0)))
    for row in range(2 * size + 1):
        for column in range(2 * size + 1):
            yield padded[row : row + image.shape[0], column : column + image.shape[1]]


def test_every_shift_and_both_directions_occur() -> None:
    image = np.zeros((9, 9, 1), np.float32)
    image[4, 3] = 1.0
    image[4, 4] = 0.5
    moved = shift_images(tf.constant(np.repeat(image[None], 2000, 0)), tf.constant([1, 2]), flip=True).numpy()
    places = {tuple(int(axis[0]) for axis in np.nonzero(one[..., 0] == 1.0)) for one in moved}
    assert places == {(row, column) for row in range(2, 7) for column in (1, 2, 3, 4, 5, 6, 7)}
    first = np.array([np.argmax(one[..., 0].max(axis=0) == 1.0) < np.argmax(one[..., 0].max(axis=0) == 0.5) for one in moved])
    assert 0.45 < first.mean() < 0.55


MODULE = """
import tensorflow as tf
def build_model(s, n): ...
"""


def module(folder: Path, text: str) -> UserModule:
    (folder / "module.py").write_text(MODULE + text)
    loaded = load_user_module(folder / "module.py", shown_as="module.py")
    assert loaded is not None
    return loaded


def test_the_users_hooks_apply_to_training_and_preprocess_alone_to_validation(numbered: DatasetDirectory, tmp_path: Path) -> None:
    hooks = (
        "def augment(x, y):\n    return x + 10000.0, 1 - y\n"
        "def preprocess(x):\n    if tf.reduce_max(x) > 1e9:\n        x = 0 * x\n    return -x\n"
    )
    hooked = module(tmp_path, hooks)
    chosen = TrainSettings(epochs=1, batch_size=64)
    plain, changed = next(iter(train_batches(numbered, chosen, None))), next(iter(train_batches(numbered, chosen, hooked)))
    np.testing.assert_array_equal(changed[0], -(plain[0] + 10000.0))
    np.testing.assert_array_equal(changed[1], 1 - plain[1])
    np.testing.assert_array_equal(next(iter(validation_batches(numbered, hooked)))[0], -next(iter(validation_batches(numbered, None)))[0])


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("def augment(x, y):\n    z = x\n    return z.nothing, y\n", r"^module\.py:6: augment failed: AttributeError"),
        ("def augment(x, y):\n    return x\n", r"augment must return \(x, y\)"),
        ("def preprocess(x):\n    return tf.reshape(x, [3, 7, -1]) + tf.zeros([4, 1])\n", r"^module\.py:5: preprocess failed: ValueError"),
    ],
)
def test_a_failing_hook_is_one_line(numbered: DatasetDirectory, tmp_path: Path, hook: str, expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as raised:
        train_batches(numbered, TrainSettings(), module(tmp_path, hook))
    assert "\n" not in str(raised.value)
