"""SavedModels through the protocol of every runtime, and side by side with the ``.tflite`` files of the same models."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepress.benchmark.peak_memory import measure_peak_memory
from edgepress.errors import ModelError
from edgepress.models.keras import tf
from edgepress.runtimes.artifact import Artifact, read_artifact
from edgepress.runtimes.registry import open_artifact, runtime_version
from edgepress.runtimes.saved_model import SavedModel
from tests.ml.saved_models import save
from tests.unit.candidate_files import TFLITE_FILES
from tests.unit.runtime_suite import ALPHA, IMAGE, TOKENS, ZETA, OpenModel, RuntimeSuite, sequences

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

FRAME = np.random.default_rng(9).normal(size=(5, 4, 3)).astype(np.float32)
INPUTS: dict[str, dict[str, NDArray[Any]]] = {
    "two_inputs": {"zeta": ZETA, "alpha": ALPHA},
    "bytes_and_tokens": {"image": IMAGE, "tokens": TOKENS},
    "autoencoder": {"frame": FRAME},
    "recurrent": {"sequence": sequences(70)},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """From the name of a model to a directory that holds it as ``saved_model``; each is saved once."""
    folder = tmp_path_factory.mktemp("saved")
    return cache(lambda name: save(name, folder / name / "saved_model").parent)


class TestSavedModel(RuntimeSuite):
    @pytest.fixture
    def open_model(self, saved: Callable[[str], Path]) -> OpenModel:
        return lambda name: open_artifact(read_artifact(saved(name), "saved_model"))


@pytest.mark.parametrize("name", INPUTS)
def test_both_runtimes_give_the_same(name: str, saved: Callable[[str], Path]) -> None:
    served = open_artifact(read_artifact(saved(name), "saved_model"))
    content = (TFLITE_FILES / f"{name}.tflite").read_bytes()
    shipped = open_artifact(Artifact("tflite", TFLITE_FILES / f"{name}.tflite", "", content))
    np.testing.assert_allclose(served.predict(INPUTS[name]), shipped.predict(INPUTS[name]), rtol=1e-5, atol=1e-6)
    assert sorted(served.inputs, key=lambda spec: spec.name) == sorted(shipped.inputs, key=lambda spec: spec.name)
    assert served.output == shipped.output


def test_what_cannot_be_served_is_refused_in_one_line(saved: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing: TensorFlow cannot open it"):
        SavedModel(tmp_path / "nothing", "nothing")
    broken = save("autoencoder", tmp_path / "broken")
    (broken / "saved_model.pb").write_bytes((broken / "saved_model.pb").read_bytes()[:200])
    with pytest.raises(ModelError, match="broken: TensorFlow cannot open it") as raised:
        SavedModel(broken, "broken")
    assert "\n" not in str(raised.value)
    tf.saved_model.save(tf.Module(), str(tmp_path / "unsigned"))
    with pytest.raises(ModelError, match="unsigned: has no signature serving_default"):
        SavedModel(tmp_path / "unsigned", "unsigned")
    free = tf.function(lambda image: {"logits": image}).get_concrete_function(image=tf.TensorSpec((None, None), tf.float32, name="image"))
    tf.saved_model.save(tf.Module(), str(tmp_path / "free"), signatures={"serving_default": free})
    with pytest.raises(ModelError, match="free: tensor image has a free dimension besides the batch"):
        SavedModel(tmp_path / "free", "free")


def test_the_version_names_the_installed_runtime() -> None:
    assert runtime_version("saved_model") == f"tensorflow {tf.__version__}"


def test_peak_memory_of_a_saved_model_follows_its_weights(tmp_path: Path) -> None:
    """16 MB of weights, read once."""
    serving = tf.Module()
    serving.weights = tf.Variable(tf.ones((2048, 2048)))
    serve = tf.function(lambda x: {"values": tf.matmul(x, serving.weights)})
    signature = serve.get_concrete_function(x=tf.TensorSpec((None, 2048), tf.float32, name="x"))
    tf.saved_model.save(serving, str(tmp_path / "saved_model"), signatures={"serving_default": signature})
    artifact = read_artifact(tmp_path, "saved_model")
    (peak_bytes,) = measure_peak_memory([artifact], {"x": np.ones((1, 2048), np.float32)}, threads=1)
    assert 15e6 < peak_bytes < 80e6
