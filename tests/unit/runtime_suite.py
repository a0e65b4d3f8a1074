"""What every runtime is held to, over models that ``tflite_files/make_files.py`` defines. A test class per runtime inherits it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepress.device.model import RunnableModel
from edgepress.errors import ModelError

OpenModel = Callable[[str], RunnableModel]
"""From the name of a model in ``make_files.py``."""

ZETA = np.array([[1, 2, 3, 99], [4, 5, 6, 99]], np.float32)
ALPHA = np.array([[[1, 0, 0], [1, 0, 2]], [[0, 3, 0], [0, 0, 0]]], np.float32)
IMAGE: NDArray[Any] = np.array([[[0, 255], [255, 2]], [[1, 2], [3, 6]]], np.uint8)
TOKENS: NDArray[Any] = np.array([[70_000, 1, -3], [0, 0, 5]], np.int32)
IMAGE_AND_TOKENS: NDArray[Any] = np.array([[128, 69_998], [3, 5]], np.float32)


def sequences(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(8).normal(size=(count, 5, 2)).astype(np.float32)


class RuntimeSuite:
    """Its subclass has a fixture ``open_model``."""

    def test_inputs_are_matched_by_name(self, open_model: OpenModel) -> None:
        model = open_model("two_inputs")
        expected = ZETA[:, :3] + 10 * ALPHA.sum(axis=1)  # the model's own definition; biases are +0.125 and -0.125
        for inputs in ({"zeta": ZETA, "alpha": ALPHA}, {"alpha": ALPHA, "zeta": ZETA}):
            np.testing.assert_array_equal(model.predict(inputs), expected)
        assert {spec.name: (spec.shape, spec.dtype.name) for spec in model.inputs} == {
            "zeta": ((4,), "float32"),
            "alpha": ((2, 3), "float32"),
        }

    def test_a_single_input_takes_the_only_array_whatever_its_name(self, open_model: OpenModel) -> None:
        model = open_model("autoencoder")
        frame = np.ones((2, 4, 3), np.float32)
        np.testing.assert_array_equal(model.predict({"picture": frame}), model.predict({"frame": frame}))

    def test_inputs_of_several_integer_types_reach_the_model_as_they_are(self, open_model: OpenModel) -> None:
        model = open_model("bytes_and_tokens")
        assert {spec.name: spec.dtype.name for spec in model.inputs} == {"image": "uint8", "tokens": "int32"}
        np.testing.assert_array_equal(model.predict({"image": IMAGE, "tokens": TOKENS}), IMAGE_AND_TOKENS)

    def test_integers_of_a_wider_type_are_taken_while_they_fit(self, open_model: OpenModel) -> None:
        model = open_model("bytes_and_tokens")
        np.testing.assert_array_equal(model.predict({"image": IMAGE.astype(np.int16), "tokens": TOKENS.astype(np.int64)}), IMAGE_AND_TOKENS)
        wide = {"image": IMAGE.astype(np.int16) + 1, "tokens": TOKENS}
        with pytest.raises(ModelError, match="input image is uint8, but the dataset's examples reach from 1 to 256"):
            model.predict(wide)

    def test_an_output_has_the_shape_and_meaning_of_the_signature(self, open_model: OpenModel) -> None:
        model = open_model("autoencoder")
        frame = np.arange(36, dtype=np.float32).reshape(3, 4, 3)
        outputs = model.predict({"frame": frame})
        np.testing.assert_array_equal(outputs, 0.5 * frame + 0.25)
        assert (model.output.name, model.output.shape, model.output.dtype.name) == ("reconstruction", (4, 3), "float32")
        assert outputs.dtype == np.float32

    def test_examples_keep_their_order_and_one_says_nothing_of_the_next(self, open_model: OpenModel) -> None:
        """With a model that remembers: the state of an LSTM must not outlive its example."""
        model, examples = open_model("recurrent"), sequences(300)
        outputs = model.predict({"sequence": examples})
        assert len(np.unique(outputs, axis=0)) == 300
        np.testing.assert_allclose(model.predict({"sequence": examples[::-1]})[::-1], outputs, atol=1e-6)
        for index in (0, 1, 299):
            np.testing.assert_allclose(model.predict({"sequence": examples[index : index + 1]})[0], outputs[index], atol=1e-6)

    def test_a_prepared_example_can_be_run_again_and_again(self, open_model: OpenModel) -> None:
        model = open_model("recurrent")
        before = model.predict({"sequence": sequences(4)})
        prepared = model.prepare({"sequence": sequences(4)})
        assert len(prepared) == 4
        for example in (*prepared, prepared[0]):
            model.set_example(example)
            model.invoke()
            model.invoke()
        np.testing.assert_array_equal(model.predict({"sequence": sequences(4)}), before)

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({"zeta": ZETA, "beta": ALPHA}, "takes the inputs alpha, zeta, but the dataset has beta, zeta; rename one side"),
            ({"zeta": ZETA[:, :3], "alpha": ALPHA}, r"input zeta has shape \[4\], but the dataset's examples have \[3\]"),
            ({"zeta": ZETA.astype(np.complex64), "alpha": ALPHA}, "input zeta is float32, but the dataset's examples are complex64"),
            ({"zeta": ZETA}, "takes the inputs alpha, zeta, but the dataset has zeta"),
        ],
    )
    def test_inputs_that_are_not_the_model_s_are_refused(
        self, open_model: OpenModel, inputs: Mapping[str, NDArray[Any]], message: str
    ) -> None:
        model = open_model("two_inputs")
        for give in (model.predict, model.prepare):
            with pytest.raises(ModelError, match=message):
                give(inputs)

    def test_a_model_of_two_outputs_is_refused(self, open_model: OpenModel) -> None:
        with pytest.raises(ModelError, match="has the outputs embedding, logits; build the model with one"):
            open_model("two_outputs")
