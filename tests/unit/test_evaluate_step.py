"""The evaluation steps on real files: what they write, carry over and refuse."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.candidate import TFLITE_NAME, Failure, read_candidate, write_candidate
from edgepress.contracts.evaluation import read_evaluation
from edgepress.contracts.json_file import write_json
from edgepress.device.digest import digest_bytes, digest_file
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


@pytest.fixture
def baseline(tmp_path: Path, dataset: Path) -> Path:
    """The baseline's evaluation on validation data."""
    model = write_model(tmp_path / "baseline", "baseline", "conv_float32")
    evaluate(
        recipe="baseline", candidate=model, dataset=dataset, split="validation", reference=None, output=tmp_path / "baseline_evaluation"
    )
    return tmp_path / "baseline_evaluation"


def test_the_baseline_agrees_with_itself(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    evaluation = read_evaluation(baseline)
    labels = np.load(dataset / "validation" / "labels.npy")
    logits = LiteRTModel.open(tmp_path / "baseline" / TFLITE_NAME).predict({"image": np.load(dataset / "validation/inputs/image.npy")})
    predictions = np.load(baseline / "predictions.npy")
    assert predictions.dtype == np.int64
    np.testing.assert_array_equal(predictions, logits.argmax(axis=1))
    assert evaluation.metrics is not None
    assert evaluation.metrics.accuracy == np.mean(predictions == labels)
    assert (evaluation.metrics.agreement, evaluation.metrics.regressions, evaluation.metrics.corrections) == (1.0, 0, 0)
    assert (evaluation.metrics.parameters, evaluation.metrics.macs) == (1313, 2724)
    assert evaluation.metrics.size_bytes == (tmp_path / "baseline" / TFLITE_NAME).stat().st_size
    assert evaluation.model_digest == digest_file(tmp_path / "baseline" / TFLITE_NAME)
    assert (evaluation.split, evaluation.runtime, evaluation.labels) == ("validation", runtime_version(), ("label 0", "label 1", "label 2"))
    assert {value: metrics.count for value, metrics in evaluation.slices["site"].items()} == {"north": 20, "south": 20}
    assert sum(map(sum, evaluation.confusion)) == COUNT


def test_a_candidate_is_compared_with_the_baseline(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / "evaluation")
    evaluation = read_evaluation(tmp_path / "evaluation")
    expected, got = np.load(baseline / "predictions.npy"), np.load(tmp_path / "evaluation" / "predictions.npy")
    assert evaluation.metrics is not None
    assert evaluation.metrics.agreement == np.mean(expected == got)
    assert 0.8 < evaluation.metrics.agreement <= 1.0
    assert [layer.dtype for layer in evaluation.layers] == ["int8"] * 5


def test_the_nominee_is_evaluated_under_its_own_recipe_on_test_data(dataset: Path, tmp_path: Path) -> None:
    arguments = {"dataset": dataset, "split": "test"}
    model = write_model(tmp_path / "baseline", "baseline", "conv_float32")
    evaluate_test(recipe="baseline", candidate=model, reference=None, output=tmp_path / "reference", **arguments)  # type: ignore[arg-type]
    nominee = write_model(tmp_path / "nominee", "half", "conv_float16")
    evaluate_test(recipe="nominee", candidate=nominee, reference=tmp_path / "reference", output=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    evaluation = read_evaluation(tmp_path / "out")
    assert (evaluation.recipe, evaluation.split, evaluation.failure) == ("half", "test", None)


def test_a_failed_candidate_carries_its_failure_over(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    failure = Failure(stage="prune", reason="loss became NaN at step 12")
    model = write_model(tmp_path / "pruned", "pruned", "conv_float32", failure=failure)
    evaluate(recipe="pruned", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / "evaluation")
    evaluation = read_evaluation(tmp_path / "evaluation")
    assert evaluation.failure == failure
    assert evaluation.metrics is None
    assert evaluation.model_digest is None
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["evaluation.json"]


def test_nan_and_infinity_are_a_failure_with_its_reason(tmp_path: Path) -> None:
    numbers = np.array([[1, 2], [0, 1], [1, 1], [-1, 3]], np.float32)  # log gives -inf and NaN
    dataset = write_dataset(tmp_path / "dataset", {"image": numbers}, np.zeros(4, np.int64), 2, {})
    model = write_model(tmp_path / "log", "log", "not_finite")
    evaluate(recipe="log", candidate=model, dataset=dataset, split="validation", reference=tmp_path, output=tmp_path / "evaluation")
    failure = read_evaluation(tmp_path / "evaluation").failure
    assert failure is not None
    assert failure.stage == "evaluate"
    assert failure.reason == "gives NaN or infinity for 2 of 4 validation examples, the first at index 1"
    with pytest.raises(ModelError, match="the baseline: gives NaN or infinity"):
        evaluate(
            recipe="baseline",
            candidate=write_model(tmp_path / "baseline", "baseline", "not_finite"),
            dataset=dataset,
            split="validation",
            reference=None,
            output=tmp_path / "other",
        )
    assert not (tmp_path / "other").exists()


def test_a_model_that_does_not_fit_the_dataset_is_a_failure(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    for file, reason in (
        ("sparse_float32", "model.tflite: gives 4 values, but the dataset has 3 labels"),
        ("conv_batch_4", "convert with a batch of 1"),
        ("two_inputs", "takes the inputs alpha, zeta, but the dataset has image"),
    ):
        model = write_model(tmp_path / file, "odd", file)
        evaluate(recipe="odd", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / f"{file}.out")
        failure = read_evaluation(tmp_path / f"{file}.out").failure
        assert failure is not None
        assert reason in failure.reason


def test_a_file_that_is_not_the_recorded_one_is_refused(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    with (model / TFLITE_NAME).open("ab") as file:
        file.write(b"\0")
    output = tmp_path / "evaluation"
    with pytest.raises(IntegrityError, match=r"model\.tflite: has digest sha256:.*, but its record says sha256:"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=output)
    (model / TFLITE_NAME).unlink()
    with pytest.raises(IntegrityError, match=r"model\.tflite: cannot be read"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=output)
    assert not output.exists()


def test_another_dataset_is_refused(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    write_candidate(model, read_candidate(model).model_copy(update={"dataset_digest": digest_bytes(b"another")}))
    with pytest.raises(IntegrityError, match="was made from dataset"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / "evaluation")


def test_only_the_baselines_evaluation_on_the_same_data_is_a_reference(baseline: Path, dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    evaluation = read_evaluation(baseline)
    for change in ({"recipe": "other"}, {"split": "train"}, {"dataset_digest": digest_bytes(b"another")}):
        write_json(baseline / "evaluation.json", evaluation.model_copy(update=change))
        with pytest.raises(IntegrityError, match="give the baseline's evaluation on the same validation data"):
            evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / "out")
    write_json(baseline / "evaluation.json", evaluation)
    np.save(baseline / "predictions.npy", np.zeros(COUNT - 1, np.int64))
    with pytest.raises(IntegrityError, match="does not hold one prediction for each validation example"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=baseline, output=tmp_path / "out")
    with pytest.raises(InputError, match="int8 needs the baseline's evaluation directory"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=None, output=tmp_path / "out")


def test_wrong_arguments_are_named(dataset: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "int8", "int8", "conv_int8")
    with pytest.raises(InputError, match="split: test is neither train nor validation"):
        evaluate(recipe="int8", candidate=model, dataset=dataset, split="test", reference=None, output=tmp_path / "out")
    with pytest.raises(InputError, match="split: validation is not test"):
        evaluate_test(recipe="int8", candidate=model, dataset=dataset, split="validation", reference=None, output=tmp_path / "out")
    with pytest.raises(InputError, match=r"recipe: is int4, but .* was made by recipe int8"):
        evaluate(recipe="int4", candidate=model, dataset=dataset, split="validation", reference=None, output=tmp_path / "out")


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
