"""The evaluation steps on real files: what they write, carry over and refuse."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepress.contracts.candidate import SAVED_MODEL_NAME, TFLITE_NAME, Failure, read_candidate, write_candidate
from edgepress.contracts.evaluation import compare, open_evaluation, read_evaluation
from edgepress.device.digest import digest_bytes, digest_file, digest_tree
from edgepress.errors import InputError, IntegrityError, ModelError
from edgepress.evaluate.step import evaluate, evaluate_test
from edgepress.tflite.litert import LiteRTModel, runtime_version
from tests.unit.candidate_files import DATASET_DIGEST, write_dataset, write_model

COUNT = 40


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    generator = np.random.default_rng(11)
    image = generator.uniform(size=(COUNT, 8, 8, 1)).astype(np.float32)
    return write_dataset(
        tmp_path / "dataset", {"image": image}, generator.integers(0, 3, COUNT), 3, {"site": ["north", "south"] * (COUNT // 2)}
    )


def test_an_evaluation_says_what_was_measured_of_what(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "baseline", "baseline", "conv_float32")
    evaluate(recipe="baseline", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    record = read_evaluation(tmp_path / "out")
    labels = np.load(dataset / "validation" / "labels.npy")
    outputs = LiteRTModel.open(model / TFLITE_NAME).predict({"image": np.load(dataset / "validation/inputs/image.npy")})
    right = outputs.argmax(axis=1) == labels
    assert (record.recipe, record.artifact, record.task, record.split, record.meaning) == (
        "baseline",
        "tflite",
        "classification",
        "validation",
        "logits",
    )
    assert (record.runtime, record.examples, record.labels) == (runtime_version(), COUNT, ("label 0", "label 1", "label 2"))
    assert record.model_digest == digest_file(model / TFLITE_NAME)
    assert record.metrics["accuracy"] == np.mean(right)
    assert (record.metrics["parameters"], record.metrics["macs"]) == (1313, 2724)
    assert record.metrics["size_bytes"] == (model / TFLITE_NAME).stat().st_size
    assert {value: (metrics.count, metrics.value) for value, metrics in record.slices["site"].items()} == {
        "north": (20, np.mean(right[::2])),
        "south": (20, np.mean(right[1::2])),
    }
    assert record.metrics["worst_slice_accuracy"] == min(np.mean(right[::2]), np.mean(right[1::2]))
    assert sum(map(sum, record.confusion)) == COUNT
    assert capsys.readouterr().out == f"baseline: accuracy {np.mean(right):.4f} on {COUNT} validation examples\n"


def test_an_evaluation_keeps_the_raw_outputs_and_scores_from_which_it_is_compared(dataset: Path, tmp_path: Path) -> None:
    for recipe, file in (("baseline", "conv_float32"), ("int8", "conv_int8")):
        model = write_model(tmp_path / recipe, recipe, file)
        evaluate(recipe=recipe, candidate=model, dataset=dataset, split="validation", output=tmp_path / f"{recipe}.out")
    baseline, candidate = (open_evaluation(tmp_path / f"{recipe}.out") for recipe in ("baseline", "int8"))
    images = {"image": np.load(dataset / "validation/inputs/image.npy")}
    assert baseline.scored is not None
    assert candidate.scored is not None
    np.testing.assert_array_equal(candidate.scored.outputs, LiteRTModel.open(tmp_path / "int8" / TFLITE_NAME).predict(images))
    np.testing.assert_array_equal(
        candidate.scored.scores, candidate.scored.outputs.argmax(axis=1) == np.load(dataset / "validation/labels.npy")
    )
    compared = compare(candidate, baseline)
    same = candidate.scored.outputs.argmax(axis=1) == baseline.scored.outputs.argmax(axis=1)
    assert compared["agreement"] == np.mean(same)
    assert 0.8 < np.mean(same) <= 1.0
    assert [layer.dtype for layer in candidate.record.layers] == ["int8"] * 5


def test_a_regression_of_several_inputs_of_integer_types(tmp_path: Path) -> None:
    inputs: dict[str, NDArray[Any]] = {
        "image": np.array([[[0, 4], [4, 0]], [[8, 8], [8, 8]]], np.uint8),
        "tokens": np.array([[1, 2, 3], [70_000, 0, 0]], np.int32),
    }
    labels = np.array([[2.5, 6.0], [8.0, 70_001.0]], np.float32)  # the model gives [2, 6] and [8, 70000]
    dataset = write_dataset(tmp_path / "dataset", inputs, labels, 2, {}, task="regression")
    model = write_model(tmp_path / "plain", "plain", "bytes_and_tokens")
    evaluate(recipe="plain", candidate=model, dataset=dataset, split="train", output=tmp_path / "out")
    evaluation = open_evaluation(tmp_path / "out")
    assert (evaluation.record.task, evaluation.record.meaning, evaluation.record.confusion) == ("regression", "values", ())
    assert evaluation.record.metrics["mean_absolute_error"] == pytest.approx((0.5 + 1.0) / 4)
    assert evaluation.scored is not None
    assert evaluation.scored.scores.tolist() == [0.25, 0.5]


def test_an_autoencoder_is_scored_by_what_it_fails_to_reconstruct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model gives half of its input plus a quarter, so 0.5 is reconstructed exactly and 4.5 misses by 2."""
    frames = np.stack([np.full((4, 3), value, np.float32) for value in (0.5, 0.5, 4.5)])
    dataset = write_dataset(tmp_path / "dataset", {"frame": frames}, np.array([0, 0, 1]), 2, {}, task="anomaly_detection")
    model = write_model(tmp_path / "plain", "plain", "autoencoder")
    evaluate(recipe="plain", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    evaluation = open_evaluation(tmp_path / "out")
    assert evaluation.scored is not None
    assert (evaluation.scored.outputs.shape, evaluation.scored.scores.tolist()) == ((3, 4, 3), [0.0, 0.0, 4.0])
    assert evaluation.record.metrics["auc"] == 1.0
    assert "plain: AUC 1.0000 on 3 validation examples" in capsys.readouterr().out


def test_the_nominee_is_evaluated_under_its_own_recipe_on_test_data(dataset: Path, tmp_path: Path) -> None:
    nominee = write_model(tmp_path / "nominee", "half", "conv_float16")
    evaluate_test(recipe="nominee", candidate=nominee, dataset=dataset, output=tmp_path / "out")
    evaluation = read_evaluation(tmp_path / "out")
    assert (evaluation.recipe, evaluation.split, evaluation.failure) == ("half", "test", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"accuracy": 7.5}}, r"\(metrics: Value error, accuracy: cannot be 7\.5\)"),
        ({"metrics": {"accuracy": -0.1}}, r"accuracy: cannot be -0\.1"),
        ({"metrics": {"size_bytes": 0}}, r"size_bytes: cannot be 0"),
        ({"metrics": {"size_bytes": 10**400}}, r"size_bytes: cannot be 1000"),
        ({"metrics": {"macs": -1}}, r"macs: cannot be -1"),
        ({"metrics": {"sparsity": 1.5}}, r"sparsity: cannot be 1\.5"),
        ({"examples": 0}, r"\(examples: "),
        ({"confusion": [[-1]]}, r"\(confusion\.0\.0: "),
        ({"slices": {"side": {"left": {"count": 1, "value": 2.0}}}}, r"accuracy where side is 'left': cannot be 2\.0"),
    ],
)
def test_a_record_of_what_cannot_be_is_refused(dataset: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    output = tmp_path / "output"
    candidate = write_model(tmp_path / "candidate", "int8", "conv_int8")
    evaluate(recipe="int8", candidate=candidate, dataset=str(dataset), split="validation", output=output)
    record = read_evaluation(output).model_dump(mode="json")
    (output / "evaluation.json").write_text(json.dumps(record | change))
    with pytest.raises(IntegrityError, match=said) as raised:
        read_evaluation(output)
    assert "\n" not in str(raised.value)


def test_a_failed_candidate_carries_its_failure_over(dataset: Path, tmp_path: Path) -> None:
    failure = Failure(stage="prune", reason="loss became NaN at step 12")
    model = write_model(tmp_path / "pruned", "pruned", "conv_float32", failure=failure)
    evaluate(recipe="pruned", candidate=model, dataset=dataset, split="validation", output=tmp_path / "evaluation")
    evaluation = open_evaluation(tmp_path / "evaluation")
    assert evaluation.record.failure == failure
    assert (evaluation.record.metrics, evaluation.record.model_digest, evaluation.scored) == ({}, None, None)
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["evaluation.json"]


def test_nan_and_infinity_are_a_failure_with_its_reason(tmp_path: Path) -> None:
    numbers = np.array([[1, 2], [0, 1], [1, 1], [-1, 3]], np.float32)  # log gives -inf and NaN
    dataset = write_dataset(tmp_path / "dataset", {"image": numbers}, np.zeros(4, np.int64), 2, {})
    model = write_model(tmp_path / "log", "log", "not_finite")
    evaluate(recipe="log", candidate=model, dataset=dataset, split="validation", output=tmp_path / "evaluation")
    failure = read_evaluation(tmp_path / "evaluation").failure
    assert failure == Failure(stage="evaluate", reason="gives NaN or infinity for 2 of 4 validation examples, the first at index 1")
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["evaluation.json"]
    baseline = write_model(tmp_path / "baseline", "baseline", "not_finite")
    with pytest.raises(ModelError, match="the baseline: gives NaN or infinity"):
        evaluate(recipe="baseline", candidate=baseline, dataset=dataset, split="validation", output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("sparse_float32", "model.tflite: gives [4] for an example, but classification on this dataset needs [3]"),
        ("conv_batch_4", "convert with a batch of 1"),
        ("two_inputs", "takes the inputs alpha, zeta, but the dataset has image"),
        ("two_outputs", "model.tflite: has the outputs embedding, logits; build the model with one"),
    ],
)
def test_a_model_that_does_not_fit_the_dataset_is_a_failure(file: str, reason: str, dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / file, "odd", file)
    evaluate(recipe="odd", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    failure = read_evaluation(tmp_path / "out").failure
    assert failure is not None
    assert reason in failure.reason


def test_a_model_of_another_task_is_a_failure(tmp_path: Path) -> None:
    """The shape fits, and the name of the output says that it is something else."""
    image = np.zeros((4, 2), np.float32)
    dataset = write_dataset(tmp_path / "dataset", {"image": image}, np.zeros((4, 2), np.float32), 2, {}, task="regression")
    model = write_model(tmp_path / "log", "log", "not_finite")
    evaluate(recipe="log", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    failure = read_evaluation(tmp_path / "out").failure
    assert failure is not None
    assert failure.reason == "model.tflite: its output is called logits, but of regression must be values; convert the model again"


def test_a_file_that_is_not_the_recorded_one_is_refused(dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    with (model / TFLITE_NAME).open("ab") as file:
        file.write(b"\0")
    output = tmp_path / "evaluation"
    with pytest.raises(IntegrityError, match=r"model\.tflite: has digest sha256:.*, but its record says sha256:"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", output=output)
    (model / TFLITE_NAME).unlink()
    with pytest.raises(IntegrityError, match=r"model\.tflite: cannot be read"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", output=output)
    with pytest.raises(IntegrityError, match="saved_model: cannot be read"):
        evaluate(recipe="int8", artifact="saved_model", candidate=model, dataset=dataset, split="validation", output=output)
    assert not output.exists()


def test_another_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    write_candidate(model, read_candidate(model).model_copy(update={"dataset_digest": digest_bytes(b"another")}))
    with pytest.raises(IntegrityError, match="was made from dataset"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", output=tmp_path / "evaluation")


def test_wrong_arguments_are_named(dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    with pytest.raises(InputError, match="split: test is neither train nor validation"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="test", output=tmp_path / "out")
    with pytest.raises(InputError, match=r"recipe: is int4, but .* was made by recipe int8"):
        evaluate(recipe="int4", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    with pytest.raises(InputError, match="artifact: onnx is none of tflite, saved_model"):
        evaluate(recipe="int8", artifact="onnx", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")


def test_where_a_runtime_is_missing_the_candidate_is_not_to_blame(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    (model / SAVED_MODEL_NAME).mkdir()
    (model / SAVED_MODEL_NAME / "saved_model.pb").write_bytes(b"graph")
    record = read_candidate(model)
    artifacts = record.artifacts | {"saved_model": digest_tree(model / SAVED_MODEL_NAME)}
    write_candidate(model, record.model_copy(update={"artifacts": artifacts}))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "edgepress.runtimes.saved_model", raising=False)  # another test may have opened one
    with pytest.raises(InputError, match="artifact: saved_model needs tensorflow to run, which is not installed here"):
        evaluate(recipe="int8", artifact="saved_model", candidate=model, dataset=dataset, split="validation", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_by_hand_it_works_and_loads_no_tensorflow(dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "baseline", "baseline", "conv_float32")
    arguments = ["evaluate", "--recipe", "baseline", "--candidate", model, "--dataset", dataset, "--split", "train"]
    script = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('edgepress.evaluate', run_name='__main__')\n"
        "finally:\n    assert not {'tensorflow', 'tf_keras', 'kfp'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments), "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"on {COUNT} train examples" in done.stdout
    assert read_evaluation(tmp_path / "out").dataset_digest == DATASET_DIGEST
