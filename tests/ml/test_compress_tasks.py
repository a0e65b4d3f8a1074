"""Every stage on each kind of learning task, down to the shipped file; and distillation's loss where it is not that of several classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.compress.cluster.step import cluster
from edgepress.compress.distill.loss import log_outputs, soft_target_loss
from edgepress.compress.distill.step import distill
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
from edgepress.contracts.builtin_models import ModelChoice
from edgepress.contracts.candidate import CandidateRecord, read_candidate
from edgepress.contracts.dataset import DatasetDirectory
from edgepress.contracts.stages import ClusterSettings, ConvertSettings, DistillSettings, PruneSettings, QuantizeSettings
from edgepress.contracts.training import TrainSettings
from edgepress.convert.step import convert
from edgepress.models.keras import keras
from edgepress.models.storage import load_model
from edgepress.tflite.litert import LiteRTModel
from tests.ml.tiny_candidates import write_baseline
from tests.ml.tiny_tasks import (
    autoencoder,
    one_logit,
    one_probability,
    regressor,
    write_anomalies,
    write_regression,
    write_two_classes,
)

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own warnings are not ours to fix

EPOCH = TrainSettings(epochs=1, batch_size=32)
Write = Callable[[Path], DatasetDirectory]
Build = Callable[[], keras.Model]


def gone_through(record: CandidateRecord) -> CandidateRecord:
    assert record.failure is None, record.failure
    return record


@pytest.mark.parametrize(
    ("write", "build", "fact", "output"),
    [
        (write_regression, regressor, "val_mean_absolute_error", "values"),
        (write_anomalies, autoencoder, "val_auc", "reconstruction"),
        (write_two_classes, one_probability, "val_accuracy", "probabilities"),
    ],
)
def test_every_stage_serves_every_task(write: Write, build: Build, fact: str, output: str, tmp_path: Path) -> None:
    dataset = write(tmp_path / "data")
    before = write_baseline(tmp_path / "baseline", dataset, build, epochs=3)
    stages: list[tuple[Any, Any]] = [
        (distill, DistillSettings(train=TrainSettings(epochs=3, batch_size=32, learning_rate=1e-2))),
        (prune, PruneSettings(schedule="constant", frequency=1, train=EPOCH)),
        (cluster, ClusterSettings(number_of_clusters=8, train=EPOCH)),
        (quantize, QuantizeSettings(train=EPOCH)),
        (convert, ConvertSettings(quantization="int8")),
    ]
    for stage, settings in stages:
        after = tmp_path / stage.__name__
        stage(recipe="all", settings=settings, candidate=before, dataset=dataset.path, output=after)
        before = after
    record = gone_through(read_candidate(before))
    assert [done.stage for done in record.trace] == ["distill", "prune", "cluster", "quantize", "convert"]
    assert all(fact in done.facts and fact in done.curves for done in record.trace[:-1])
    model = LiteRTModel.open(before / "model.tflite")
    assert model.output.name == output
    x = np.asarray(dataset.split("validation").inputs["x"][:50])
    expected = load_model(before)(x, training=False).numpy()
    assert np.max(np.abs(model.predict({"x": x}) - expected)) < 0.1 * np.ptp(expected)


@pytest.mark.parametrize("task", ["regression", "anomaly_detection"])
def test_a_built_in_student_learns_from_its_teacher_alone(task: str, tmp_path: Path) -> None:
    write, build = (write_regression, regressor) if task == "regression" else (write_anomalies, autoencoder)
    choice = ModelChoice(model="mlp", params={"hidden": [8]})
    if task == "anomaly_detection":
        choice = ModelChoice(model="autoencoder", params={"hidden": [8], "bottleneck": 2})
    dataset = write(tmp_path / "data")
    baseline = write_baseline(tmp_path / "baseline", dataset, build)
    settings = DistillSettings(student=choice, alpha=1.0, train=TrainSettings(epochs=8, batch_size=16, learning_rate=2e-2))
    distill(recipe="small", settings=settings, candidate=baseline, dataset=dataset.path, output=tmp_path / "out")
    gone_through(read_candidate(tmp_path / "out"))
    x = np.asarray(dataset.split("validation").inputs["x"])
    if task == "anomaly_detection":
        x = x[np.asarray(dataset.split("validation").labels) == 0]
    taught, learnt = (load_model(place)(x, training=False).numpy() for place in (baseline, tmp_path / "out"))
    assert np.mean(np.square(learnt - taught)) < 0.2 * taught.var()


@pytest.mark.parametrize("build", [one_logit, one_probability])
def test_a_built_in_student_of_one_output_gives_what_its_teacher_gives(build: Build, tmp_path: Path) -> None:
    dataset = write_two_classes(tmp_path / "data")
    baseline = write_baseline(tmp_path / "baseline", dataset, build)
    train = TrainSettings(epochs=8, batch_size=32, learning_rate=2e-2)
    settings = DistillSettings(student=ModelChoice(model="mlp", params={"hidden": [16]}), alpha=1.0, train=train)
    distill(recipe="small", settings=settings, candidate=baseline, dataset=dataset.path, output=tmp_path / "out")
    gone_through(read_candidate(tmp_path / "out"))
    student = load_model(tmp_path / "out")
    assert (student.name, student.output_shape) == ("mlp", (None, 1))
    assert student.output_names == (["probabilities"] if build is one_probability else ["logits"])
    x, threshold = np.asarray(dataset.split("validation").inputs["x"]), 0.5 if build is one_probability else 0.0
    assert np.mean((student(x).numpy() > threshold) == (load_model(baseline)(x).numpy() > threshold)) > 0.93


def test_one_output_is_taught_as_two_classes() -> None:
    teacher, student, temperature = np.array([[2.0], [-0.5]]), np.array([[0.3], [1.0]]), 3.0
    p, q = (1.0 / (1.0 + np.exp(-each[:, 0] / temperature)) for each in (teacher, student))
    expected = temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    of_logits, of_probabilities = log_outputs("logits", 1), log_outputs("probabilities", 1)
    found = soft_target_loss(of_logits(teacher), of_probabilities(1.0 / (1.0 + np.exp(-student))), temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
