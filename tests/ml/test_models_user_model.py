"""Building the model of a user's module."""

from pathlib import Path

import pytest

from edgepress.contracts.dataset import InputSpec
from edgepress.errors import ModelError
from edgepress.models.user_model import build_user_model, preprocessed_inputs
from edgepress.models.user_module import UserModule, load_user_module
from edgepress.tasks.task import TaskName
from tests.ml.tiny_candidates import describe

IMAGE = describe((InputSpec(name="image", shape=(8, 8, 1), dtype="float32"),), 5)
HEAD = "import tensorflow as tf\nfrom tensorflow import keras\n"
GOOD = HEAD + (
    "def build_model(input_shape, num_classes, units=4):\n"
    "    x = keras.Input(input_shape)\n"
    "    y = keras.layers.Dense(units, activation='relu')(keras.layers.Flatten()(x))\n"
    "    return keras.Model(x, keras.layers.Dense(num_classes)(y))\n"
)


def module(folder: Path, text: str) -> UserModule:
    path = folder / "module.py"
    path.write_text(text)
    loaded = load_user_module(path, shown_as="module.py")
    assert loaded is not None
    return loaded


def test_params_reach_build_model(tmp_path: Path) -> None:
    model = build_user_model(module(tmp_path, GOOD), {"units": 6}, IMAGE)
    assert model.count_params() == 64 * 6 + 6 + 6 * 5 + 5


def test_build_model_gets_the_shape_after_preprocess(tmp_path: Path) -> None:
    hooked = module(tmp_path, GOOD + "def preprocess(x):\n    return tf.image.resize(x, (4, 4))\n")
    assert preprocessed_inputs(hooked, IMAGE.inputs)[0].shape == (4, 4, 1)
    assert build_user_model(hooked, {}, IMAGE).input_shape == (None, 4, 4, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "    return keras.Sequential([keras.Input(s), keras.layers.Flatten(), keras.layers.Dense(9)])",
            r"outputs shape \[9\].* needs \[5\]",
        ),
        ("    return keras.Sequential([keras.Input(s), keras.layers.Dense(5)])", r"outputs shape \[8, 8, 5\]"),
        (
            "    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(5)])",
            r"takes examples of shape \[64\].*image has \[8, 8, 1\]",
        ),
        ("    return keras.Sequential([keras.layers.Dense(5)])", "is subclassed or not built"),
        ("    return 3", "is a int, not a Keras model"),
        (
            "    return keras.Sequential([keras.Input(s), keras.layers.Lambda(lambda x: x), keras.layers.Dense(5)])",
            "is a Lambda, whose code cannot be stored safely",
        ),
        ("    import keras as k3\n    return k3.Sequential([k3.Input(s), k3.layers.Flatten(), k3.layers.Dense(5)])", "is a Keras 3 model"),
    ],
)
def test_a_model_that_does_not_fit_is_told_with_its_line(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(ModelError, match=r"^module\.py:3: build_model: .*" + expected) as raised:
        build_user_model(module(tmp_path, f"{HEAD}def build_model(s, n):\n{body}\n"), {}, IMAGE)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("def preprocess(x):\n    y = x + 1\n    return y.nothing\n", r"^module\.py:9: preprocess failed: AttributeError"),
        ("def preprocess(x):\n    return {'other': x}\n", r"preprocess must return a tensor"),
        ("def preprocess(x):\n    return tf.boolean_mask(x, x > 0)[None]\n", r"all axes but the batch must be fixed"),
    ],
)
def test_a_preprocess_that_does_not_work_is_told(tmp_path: Path, hook: str, expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as raised:
        build_user_model(module(tmp_path, GOOD + hook), {}, IMAGE)
    assert "\n" not in str(raised.value)


OWN_LAYER = """
class Scale(keras.layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
    def call(self, x):
        return self.factor * x
    def get_config(self):
        return super().get_config() | {"factor": self.factor}

def own(x):
    return tf.nn.relu(x) + 1.0

def build_model(s, n):
    return keras.Sequential([keras.Input(s), keras.layers.Flatten(), LAYER, keras.layers.Dense(n)])
"""
HOOK = """
def custom_objects():
    return {"Scale": Scale, "own": own}
"""


def test_a_layer_of_ones_own_is_built_when_it_can_be_loaded_again(tmp_path: Path) -> None:
    own = OWN_LAYER.replace("LAYER", "Scale(3.0)")
    build_user_model(module(tmp_path, HEAD + own + HOOK), {}, IMAGE)
    registered = own.replace("class", "@keras.utils.register_keras_serializable()\nclass", 1)
    build_user_model(module(tmp_path, HEAD + registered), {}, IMAGE)
    noisy = own.replace("self.factor * x", "self.factor * x + tf.random.normal(tf.shape(x))")
    build_user_model(module(tmp_path, HEAD + noisy + HOOK), {}, IMAGE)


def test_a_model_of_several_inputs_is_built(tmp_path: Path) -> None:
    text = (
        "def build_model(shapes, n):\n"
        "    given = {name: keras.Input(shape, name=name, dtype='int32') for name, shape in shapes.items()}\n"
        "    parts = [keras.layers.Flatten()(keras.layers.Embedding(3, 2)(tensor)) for tensor in given.values()]\n"
        "    return keras.Model(given, keras.layers.Dense(n)(keras.layers.Concatenate()(parts)))\n"
    )
    inputs = tuple(InputSpec(name=name, shape=(size,), dtype="int32") for name, size in (("b", 3), ("a", 2)))
    assert build_user_model(module(tmp_path, HEAD + text), {}, describe(inputs, 5)).output_shape == (None, 5)


@pytest.mark.parametrize(
    ("task", "given", "layer"),
    [
        ("classification", "2", "Dense(2)"),
        ("classification", "2", "Dense(1, activation='sigmoid')"),
        ("regression", "2", "Dense(2)"),
        ("anomaly_detection", "(3,)", "Dense(3)"),
    ],
)
def test_build_model_is_told_what_to_give(tmp_path: Path, task: TaskName, given: str, layer: str) -> None:
    text = f"def build_model(s, n):\n    assert n == {given}\n    return keras.Sequential([keras.Input(s), keras.layers.{layer}])\n"
    inputs = (InputSpec(name="x", shape=(3,), dtype="float32"),)
    build_user_model(module(tmp_path, HEAD + text), {}, describe(inputs, 2, task))


@pytest.mark.parametrize(
    ("task", "layer", "expected"),
    [
        ("classification", "Dense(3)", r"outputs shape \[3\] an example, but classification on this dataset needs \[2\] or \[1\]; change"),
        ("classification", "Softmax()", r"outputs shape \[3\] an example"),
        (
            "classification",
            "Dense(1, activation='softmax')",
            "sigmoid or softmax gave.*make the sigmoid the last layer, or leave",
        ),
        ("regression", "Dense(1)", r"outputs shape \[1\] an example, but regression on this dataset needs \[2\]; change its last layer"),
        ("anomaly_detection", "Dense(2)", r"outputs shape \[2\] an example, but anomaly_detection on this dataset needs \[3\]; change"),
    ],
)
def test_a_model_of_another_task_is_told(tmp_path: Path, task: TaskName, layer: str, expected: str) -> None:
    text = f"def build_model(s, n):\n    return keras.Sequential([keras.Input(s), keras.layers.{layer}])\n"
    inputs = (InputSpec(name="x", shape=(3,), dtype="float32"),)
    with pytest.raises(ModelError, match=rf"^module\.py:3: build_model: .*{expected}") as raised:
        build_user_model(module(tmp_path, HEAD + text), {}, describe(inputs, 2, task))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("layer", "change", "expected"),
    [
        ("Scale(3.0)", (HOOK, ""), r'uses Scale, which is not Keras\' own, .*; define custom_objects\(\) to return {"Scale": Scale}'),
        ("keras.layers.Activation(own)", ("", ""), r"uses own, a function, which a stored model cannot name; put it into a Layer class"),
        (
            "Scale(3.0)",
            (' | {"factor": self.factor}', ""),
            r"computes something else when it has been stored and loaded; a class of your own needs",
        ),
        ("Scale(factor=3.0)", ('"factor": self', '"facto": self'), r"cannot be stored and loaded again \(.*facto.*\); a class of your own"),
        ("Scale(lambda x: x)", ("self.factor * x", "self.factor(x)"), r"cannot be stored and loaded again \("),
    ],
)
def test_a_layer_that_cannot_be_loaded_again_is_told_before_training(
    tmp_path: Path, layer: str, change: tuple[str, str], expected: str
) -> None:
    text = (OWN_LAYER.replace("LAYER", layer) + HOOK).replace(*change)
    with pytest.raises(ModelError, match=rf"^module\.py:16: build_model: .*{expected}") as raised:
        build_user_model(module(tmp_path, HEAD + text), {}, IMAGE)
    assert "\n" not in str(raised.value)
