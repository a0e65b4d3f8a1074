"""The loss and the metrics of a user's module in the training loop."""

from pathlib import Path

import pytest

from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.training import TrainSettings
from edgepress.errors import ModelError, StageError
from edgepress.models.user_module import UserModule, load_user_module
from edgepress.train.fit import fit
from tests.ml.tiny_candidates import dense, write_digits

QUICK = TrainSettings(epochs=4, batch_size=32, learning_rate=2e-2)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DatasetDirectory:
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


def user_module(folder: Path, text: str) -> UserModule:
    path = folder / "module.py"
    path.write_text("import tensorflow as tf\nfrom tensorflow import keras\ndef build_model(s, n): ...\n" + text)
    loaded = load_user_module(path, shown_as="module.py")
    assert loaded is not None
    return loaded


def test_the_users_loss_and_metrics_apply(digits: DatasetDirectory, tmp_path: Path) -> None:
    hooks = (
        "def loss(y, p):\n    return 7.0 + 0.0 * tf.reduce_sum(p, axis=-1)\n"
        "def metrics():\n    return [keras.metrics.SparseTopKCategoricalAccuracy(k=10, name='top10')]\n"
    )
    result = fit(dense(), digits, QUICK.model_copy(update={"epochs": 1}), user_module=user_module(tmp_path, hooks))
    assert result.curves["loss"] == result.curves["val_loss"] == (7.0,)
    assert result.curves["top10"] == result.curves["val_top10"] == (1.0,)


METRIC = """
class Odd(keras.metrics.Metric):
    def update_state(self, y, p, sample_weight=None): pass
    def result(self): return {result}
def metrics(): return [Odd(name="odd")]
"""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("tf.constant(float('nan'))", "metric odd is nan after epoch 1; make metrics() of the module give a finite number"),
        ("tf.constant(float('inf'))", "metric odd is inf after epoch 1; make metrics() of the module give a finite number"),
        ("tf.zeros([10])", "metric odd gives shape [10]; metrics() of the module must give metrics of one number each"),
    ],
)
def test_a_users_metric_that_is_no_finite_number_is_named(digits: DatasetDirectory, tmp_path: Path, result: str, expected: str) -> None:
    with pytest.raises(StageError) as raised:
        fit(dense(), digits, QUICK, user_module=user_module(tmp_path, METRIC.replace("{result}", result)))
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("def loss(y, p):\n    return p.nothing\n", r"^module\.py:5: loss failed: "),
        (
            "def loss(y, p):\n    return p\n",
            r"^module\.py:4: loss must return a float tensor, \[batch\] or scalar, not one of shape \(2, 10\)",
        ),
    ],
)
def test_a_users_loss_that_does_not_work_is_told(digits: DatasetDirectory, tmp_path: Path, hook: str, expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        fit(dense(), digits, QUICK, user_module=user_module(tmp_path, hook))
