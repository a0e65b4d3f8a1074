"""A run's directories as the rooms before the gate write them: a baseline and recipes with figures like Fashion-MNIST's.

Not measurements: values chosen so that one recipe wins, one misses a threshold and one failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepress.contracts.candidate import BASELINE, TFLITE_NAME, CandidateRecord, Failure, StageName, StageRecord, write_candidate
from edgepress.contracts.dataset import SPLIT_NAMES, SplitName
from edgepress.contracts.evaluation import (
    EVALUATION_NAME,
    OUTPUTS_NAME,
    SCORES_NAME,
    Evaluation,
    LayerWeights,
    OpenedEvaluation,
    SliceMetrics,
)
from edgepress.contracts.json_file import write_json
from edgepress.contracts.latency import BENCHMARK_NAME, Benchmark, Hardware, Latency
from edgepress.contracts.policy import GateSettings
from edgepress.device.digest import digest_bytes
from edgepress.tasks.classification import confusion, macro_f1, worst_class_recall
from edgepress.tasks.task import Scored

DATASET_DIGEST = digest_bytes(b"fashion")
SPLIT_DIGESTS = {name: digest_bytes(name.encode()) for name in SPLIT_NAMES}
EXAMPLES = 1000
"""Of each class."""
LABELS = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
POLICY = GateSettings.model_validate_json(
    '{"accuracy": {"min": 0.88, "max_drop": 0.02}, "latency_p50_ms": {"max_ratio": 1.2}, "size_gzip_bytes": {"max_ratio": 0.4}}'
)


@dataclass(frozen=True)
class Model:
    """One model of the run; accuracies are on validation and test data."""

    recipe: str
    accuracy: float
    test_accuracy: float
    size_bytes: int
    size_gzip_bytes: int
    latency_p50_ms: float
    macs: int = 7_890_000
    sparsity: float = 0.0
    stages: tuple[StageName, ...] = ("convert",)
    failure: Failure | None = None


BASELINE_MODEL = Model(BASELINE, 0.9210, 0.9179, 316_228, 290_137, 0.405, stages=("train", "convert"))
MODELS = (
    Model("float16", 0.9210, 0.9179, 161_020, 146_512, 0.407),
    Model("int8", 0.9204, 0.9180, 94_264, 78_766, 0.467),
    Model("qat-int8", 0.9216, 0.9186, 95_104, 79_310, 0.452, stages=("quantize", "convert")),
    Model("pruned-int8", 0.9138, 0.9102, 94_296, 52_480, 0.461, sparsity=0.6, stages=("prune", "quantize", "convert")),
    Model("student-int8", 0.8862, 0.8816, 21_392, 14_438, 0.209, macs=1_130_000, stages=("distill", "quantize", "convert")),
    Model(
        "hot-student", 0.0, 0.0, 0, 0, 0.0, stages=("distill",), failure=Failure(stage="distill", reason="the loss became NaN at epoch 3")
    ),
)


@dataclass
class SampleRun:
    """Paths of a run's artifacts, named as the steps' parameters are."""

    root: Path
    baseline: Path
    candidates: list[Path] = field(default_factory=list)
    baseline_evaluation: Path = Path()
    evaluations: list[Path] = field(default_factory=list)
    baseline_test_evaluation: Path = Path()
    test_evaluations: dict[str, Path] = field(default_factory=dict)
    benchmark: Path = Path()


def build_run(
    root: Path,
    models: Sequence[Model] = MODELS,
    *,
    baseline: Model = BASELINE_MODEL,
    curves: bool = True,
    slices: bool = True,
    labels: tuple[str, ...] = LABELS,
) -> SampleRun:
    """Write every artifact that the gate and the report read."""
    run = SampleRun(root=root, baseline=_write_candidate(root, baseline, curves))
    for split in ("validation", "test"):
        written = _write_evaluation(root, baseline, baseline, split, slices, labels)
        if split == "validation":
            run.baseline_evaluation = written
        else:
            run.baseline_test_evaluation = written
    for model in models:
        run.candidates.append(_write_candidate(root, model, curves))
        run.evaluations.append(_write_evaluation(root, model, baseline, "validation", slices, labels))
        run.test_evaluations[model.recipe] = _write_evaluation(root, model, baseline, "test", slices, labels)
    run.benchmark = root / "benchmark"
    run.benchmark.mkdir()
    write_json(run.benchmark / BENCHMARK_NAME, benchmark_of([baseline, *models], baseline))
    return run


def tflite_of(model: Model) -> bytes:
    """The bytes that stand for a model's file."""
    return f"tflite of {model.recipe} {model.size_bytes}".encode()


def benchmark_of(models: Sequence[Model], baseline: Model = BASELINE_MODEL) -> Benchmark:
    """A benchmark of every model that did not fail."""
    return Benchmark(
        hardware=Hardware(
            hardware_class="x86-avx2",
            cpu="AMD EPYC 7763 (avx2, fma)",
            cores=2,
            runtime="litert 2.3.0",
            threads=1,
            load_average_1m=0.12,
        ),
        rounds=30,
        models=tuple(
            Latency(
                recipe=model.recipe,
                artifact="tflite",
                model_digest=digest_bytes(tflite_of(model)),
                invocations=1500,
                latency_p50_ms=model.latency_p50_ms,
                latency_p95_ms=model.latency_p50_ms * 1.2,
                latency_p99_ms=model.latency_p50_ms * 1.6,
                ratio_to_baseline=model.latency_p50_ms / baseline.latency_p50_ms,
                ratio_interval=(
                    0.98 * model.latency_p50_ms / baseline.latency_p50_ms,
                    1.02 * model.latency_p50_ms / baseline.latency_p50_ms,
                ),
                peak_memory_bytes=2_000_000 + model.size_bytes,
            )
            for model in models
            if model.failure is None
        ),
    )


def evaluation_of(
    model: Model, split: SplitName, baseline: Model = BASELINE_MODEL, *, slices: bool = True, labels: tuple[str, ...] = LABELS
) -> Evaluation:
    """An evaluation of a model on one split."""
    if model.failure is not None:
        return Evaluation(
            recipe=model.recipe,
            artifact="tflite",
            task="classification",
            split=split,
            dataset_digest=DATASET_DIGEST,
            split_digest=SPLIT_DIGESTS[split],
            failure=model.failure,
        )
    accuracy = model.accuracy if split == "validation" else model.test_accuracy
    examples = EXAMPLES * len(labels)
    accuracy = round(examples * accuracy) / examples
    counts = confusion(*_labels_and_predictions(accuracy, len(labels)), len(labels))
    return Evaluation(
        recipe=model.recipe,
        artifact="tflite",
        task="classification",
        split=split,
        dataset_digest=DATASET_DIGEST,
        split_digest=SPLIT_DIGESTS[split],
        model_digest=digest_bytes(tflite_of(model)),
        runtime="litert 2.3.0",
        examples=examples,
        meaning="logits",
        metrics={
            "accuracy": accuracy,
            "macro_f1": macro_f1(counts),
            "worst_class_recall": worst_class_recall(counts),
            "worst_slice_accuracy": max(accuracy - 0.031, 0.0) if slices else None,
            "auc": 0.99,
            "calibration_error": 0.02,
            "size_bytes": model.size_bytes,
            "size_gzip_bytes": model.size_gzip_bytes,
            "parameters": 78_378,
            "macs": model.macs,
            "sparsity": model.sparsity,
        },
        slices={
            "brightness": {
                "dark": SliceMetrics(count=2310, value=max(accuracy - 0.031, 0.0)),
                "medium": SliceMetrics(count=5102, value=accuracy),
                "bright": SliceMetrics(count=2588, value=min(accuracy + 0.02, 1.0)),
            }
        }
        if slices
        else {},
        labels=labels,
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        layers=tuple(
            LayerWeights(
                tensor=f"resnet8/conv2d_{index}/Conv2D",
                op="CONV_2D",
                dtype="int8" if "int8" in model.recipe else "float32",
                elements=elements,
                sparsity=model.sparsity,
                distinct_values=255 if "int8" in model.recipe else elements,
            )
            for index, elements in enumerate((144, 2304, 2304, 4608, 9216, 512, 18432, 36864, 2048))
        ),
    )


def opened_evaluation_of(
    model: Model, split: SplitName, baseline: Model = BASELINE_MODEL, *, slices: bool = True, labels: tuple[str, ...] = LABELS
) -> OpenedEvaluation:
    """The same with the raw outputs and scores that bear it out."""
    record = evaluation_of(model, split, baseline, slices=slices, labels=labels)
    if record.failure is not None:
        return OpenedEvaluation(record, None)
    right, predicted = _labels_and_predictions(record.metrics["accuracy"] or 0.0, len(labels))
    scores = (right == predicted).astype(np.float64)
    return OpenedEvaluation(record, Scored(np.eye(len(labels), dtype=np.float32)[predicted], "logits", scores))


def _labels_and_predictions(accuracy: float, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both int64 [EXAMPLES x classes]; the first are right, the others wrong, and some mistakes are more common than others."""
    labels = np.arange(EXAMPLES * classes, dtype=np.int64) % classes
    right = round(len(labels) * accuracy)
    generator = np.random.default_rng(7)
    offsets = generator.choice(np.arange(1, classes), size=len(labels) - right, p=generator.dirichlet(np.full(classes - 1, 0.4)))
    return labels, np.concatenate([labels[:right], (labels[right:] + offsets) % classes])


def _write_candidate(root: Path, model: Model, curves: bool) -> Path:
    path = root / f"candidate-{model.recipe}"
    digest = None
    if model.failure is None:
        path.mkdir()
        (path / TFLITE_NAME).write_bytes(tflite_of(model))
        digest = digest_bytes(tflite_of(model))
    stages: tuple[StageName, ...] = model.stages if model.recipe == BASELINE else ("train", *model.stages)
    record = CandidateRecord(
        recipe=model.recipe,
        dataset_digest=DATASET_DIGEST,
        failure=model.failure,
        trace=tuple(_stage(name, model, curves) for name in stages),
        artifacts={"tflite": digest} if digest is not None else {},
    )
    write_candidate(path, record)
    return path


def _stage(name: StageName, model: Model, curves: bool) -> StageRecord:
    trains = name != "convert"
    epochs = {"train": 14, "distill": 12}.get(name, 4)
    start = {"train": 0.6, "distill": 0.5}.get(name, model.accuracy - 0.015)
    progress = 1 - np.exp(-np.arange(1, epochs + 1) / (epochs / 4))
    accuracy = start + (model.accuracy - start) * progress
    wobble = 0.004 * np.sin(np.arange(epochs) * 2.3)
    facts: dict[StageName, dict[str, object]] = {
        "prune": {"sparsity": model.sparsity, "pruned_layers": 7, "epochs_run": 4},
        "quantize": {"epochs_run": 4, "quantized_layers": 24},
        "convert": {"size_bytes": model.size_bytes, "signature": "serving_default"},
    }
    settings: dict[StageName, dict[str, object]] = {
        "prune": {"schedule": "polynomial", "initial_sparsity": 0.0, "final_sparsity": model.sparsity, "begin_step": 0, "end_step": None},
        "convert": {"quantization": "int8" if "int8" in model.recipe else "float32", "io": "float32"},
        "distill": {"temperature": 4.0, "alpha": 0.7, "student": {"model": "resnet8", "params": {"width": 6}}},
    }
    return StageRecord.model_validate(
        {
            "stage": name,
            "settings": settings.get(name, {}) | ({"train": {"epochs": epochs, "learning_rate": 1e-3, "batch_size": 64}} if trains else {}),
            "facts": facts.get(name, {"epochs_run": epochs, "best_epoch": epochs}),
            "curves": {
                "loss": tuple(float(value) for value in 1.9 - 1.7 * progress),
                "accuracy": tuple(float(value) for value in accuracy + 0.012),
                "val_loss": tuple(float(value) for value in 1.9 - 1.62 * progress + wobble * 8),
                "val_accuracy": tuple(float(value) for value in accuracy + wobble),
                "learning_rate": tuple(float(value) for value in 1e-3 * (1 + np.cos(np.pi * np.arange(epochs) / epochs)) / 2),
            }
            if trains and curves
            else {},
            "duration_s": 142.4 if name == "train" else 12.6 if trains else 3.1,
        }
    )


def _write_evaluation(root: Path, model: Model, baseline: Model, split: SplitName, slices: bool, labels: tuple[str, ...]) -> Path:
    path = root / f"{split}-{model.recipe}"
    path.mkdir()
    opened = opened_evaluation_of(model, split, baseline, slices=slices, labels=labels)
    if opened.scored is not None:
        np.save(path / OUTPUTS_NAME, opened.scored.outputs)
        np.save(path / SCORES_NAME, opened.scored.scores)
    write_json(path / EVALUATION_NAME, opened.record)
    return path
