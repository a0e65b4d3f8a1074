"""Passing through, failing with a reason, and outputs that are there whole or not at all."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from edgepress.contracts.candidate import (
    BASELINE,
    CandidateRecord,
    Failure,
    StageRecord,
    read_candidate,
    write_candidate,
)
from edgepress.contracts.dataset import DatasetManifest, InputSpec
from edgepress.contracts.json_file import write_json
from edgepress.contracts.stages import PruneSettings
from edgepress.device.digest import digest_bytes, digest_tree
from edgepress.errors import InputError, IntegrityError, ModelError, StageError, StorageError
from edgepress.stages.stage import StageInput, StageResult, run_stage

DATASET_DIGEST = digest_bytes(b"the dataset")
SETTINGS = PruneSettings()
TRAINED = StageRecord(stage="train", settings={}, facts={"epochs_run": 3}, duration_s=1.0)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    path = tmp_path / "candidate"
    path.mkdir()
    (path / "model.h5").write_bytes(b"weights")
    (path / "module.py").write_text("def build_model(): ...\n")
    write_candidate(path, CandidateRecord(recipe=BASELINE, dataset_digest=DATASET_DIGEST, trace=(TRAINED,)))
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "dataset", DATASET_DIGEST)


def write_manifest(path: Path, digest: str) -> Path:
    path.mkdir()
    manifest = DatasetManifest(
        name="d",
        task="classification",
        inputs=(InputSpec(name="x", shape=(2,), dtype="float32"),),
        labels=("a", "b"),
        slice_columns=(),
        counts={"train": 1, "validation": 1, "test": 1},
        digest=digest,
        split_digests={},
    )
    write_json(path / "dataset.json", manifest)
    return path


def run(
    candidate: Path, dataset: Path, output: Path, apply: Callable[[StageInput], StageResult], settings: PruneSettings | None = SETTINGS
) -> CandidateRecord:
    run_stage(stage="prune", recipe="small", settings=settings, candidate=candidate, dataset=dataset, output=output, apply=apply)
    return read_candidate(output)


def never(_: StageInput) -> StageResult:
    raise AssertionError("must not be called")


def test_a_stage_that_is_left_out_passes_everything_through(candidate: Path, tmp_path: Path) -> None:
    before = digest_tree(candidate)
    record = run(candidate, tmp_path / "no dataset is read", tmp_path / "out", never, settings=None)
    assert record == read_candidate(candidate).model_copy(update={"recipe": "small"})
    assert (tmp_path / "out" / "model.h5").read_bytes() == b"weights"
    assert (tmp_path / "out" / "module.py").exists()
    assert digest_tree(candidate) == before


def test_a_copy_is_not_tied_to_its_source(candidate: Path, tmp_path: Path) -> None:
    run(candidate, tmp_path, tmp_path / "out", never, settings=None)
    (tmp_path / "out" / "model.h5").write_bytes(b"changed")
    assert (candidate / "model.h5").read_bytes() == b"weights"


def test_a_failed_candidate_passes_through_with_its_reason(tmp_path: Path) -> None:
    failure = Failure(stage="distill", reason="training diverged")
    write_candidate(tmp_path / "failed", CandidateRecord(recipe="small", dataset_digest=DATASET_DIGEST, failure=failure))
    assert run(tmp_path / "failed", tmp_path / "none", tmp_path / "out", never).failure == failure


def test_a_stage_error_makes_a_failed_candidate_and_leaves_nothing_half_written(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    def fail(given: StageInput) -> StageResult:
        (given.work / "model.h5").write_bytes(b"half")
        (given.work / "saved_model").mkdir()
        (given.work / "saved_model" / "x").write_bytes(b"half")
        raise StageError("nothing can be pruned")

    record = run(candidate, dataset, tmp_path / "out", fail)
    assert record.failure == Failure(stage="prune", reason="nothing can be pruned")
    assert record.trace == (TRAINED,)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["candidate.json"]


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's, which is no OSError or MemoryError either."""


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError("model.h5: is damaged"),
        StorageError("the store is away"),
        ModelError("module.py:3: loss failed"),
        OSError(28, "No space left on device"),
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor"),
        RuntimeError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
    ],
)
def test_what_is_not_about_the_recipe_propagates_and_leaves_no_output(
    candidate: Path, dataset: Path, tmp_path: Path, error: Exception
) -> None:
    def break_(given: StageInput) -> StageResult:
        (given.work / "model.h5").write_bytes(b"half")
        raise error

    before = set(tmp_path.iterdir())
    with pytest.raises(type(error)) as raised:
        run(candidate, dataset, tmp_path / "out", break_)
    assert raised.value is error
    assert set(tmp_path.iterdir()) == before


def test_what_nobody_foresaw_fails_the_candidate_and_is_logged_whole(
    candidate: Path, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def break_(given: StageInput) -> StageResult:
        (given.work / "model.h5").write_bytes(b"half")
        raise ZeroDivisionError("one\nbug")

    record = run(candidate, dataset, tmp_path / "out", break_)
    assert record.failure is not None
    assert record.failure.reason == "prune failed unexpectedly (ZeroDivisionError: one bug); the task's log has the traceback"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["candidate.json"]
    (logged,) = caplog.records
    assert logged.levelname == "ERROR"
    assert "in break_" in caplog.text


def test_the_record_says_what_was_done(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    def apply(given: StageInput) -> StageResult:
        assert (given.work / "module.py").exists(), "the user's module comes along"
        (given.work / "model.h5").write_bytes(b"new")
        facts: dict[str, JsonValue] = {"sparsity": 0.5, "val_accuracy": 0.9}
        return StageResult(facts=facts, curves={"loss": (2.0, 1.0)}, artifacts={"tflite": digest_bytes(b"t")})

    record = run(candidate, dataset, tmp_path / "out", apply, PruneSettings(final_sparsity=0.75))
    done = record.stage("prune")
    assert done is not None
    assert done.settings["final_sparsity"] == 0.75
    assert done.settings["frequency"] == 20, "defaults are filled in"
    assert done.facts == {"sparsity": 0.5, "val_accuracy": 0.9}
    assert done.curves == {"loss": (2.0, 1.0)}
    assert done.duration_s >= 0
    assert record.trace[0] == TRAINED
    assert record.artifacts == {"tflite": digest_bytes(b"t")}


def test_another_dataset_is_refused(candidate: Path, tmp_path: Path) -> None:
    other = write_manifest(tmp_path / "other", digest_bytes(b"another"))
    with pytest.raises(IntegrityError, match="give the stage the dataset that trained the baseline"):
        run(candidate, other, tmp_path / "out", never)
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_refused(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    with pytest.raises(InputError, match="exists already"):
        run(candidate, dataset, tmp_path / "out", never, settings=None)
    assert (tmp_path / "out" / "precious").exists()


PASS_ALL_THROUGH = """
import sys
from pathlib import Path
from edgepress.compress.cluster.step import cluster
from edgepress.compress.distill.step import distill
from edgepress.compress.prune.step import prune
from edgepress.compress.quantize.step import quantize
import edgepress.convert.step

place = Path(sys.argv[1])
source = place / "candidate"
for stage in (distill, prune, cluster, quantize):
    output = place / stage.__name__
    stage(recipe="small", settings=None, candidate=source, dataset=place / "dataset", output=output)
    source = output
print([name for name in sys.modules if name.split(".")[0] in ("tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "h5py")])
"""


def test_passing_through_every_stage_loads_no_tensorflow(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PASS_ALL_THROUGH, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert read_candidate(tmp_path / "quantize").recipe == "small"
    assert (tmp_path / "quantize" / "model.h5").read_bytes() == b"weights"


def test_a_stage_runs_by_hand(candidate: Path, dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgepress.compress.prune", "--recipe", "by-hand", "--candidate", str(candidate)]
    command += ["--dataset", str(dataset), "--output", str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert json.loads((tmp_path / "out" / "candidate.json").read_text())["recipe"] == "by-hand"


def test_every_stage_explains_itself() -> None:
    for room in ("compress.distill", "compress.prune", "compress.cluster", "compress.quantize", "convert"):
        done = subprocess.run([sys.executable, "-m", f"edgepress.{room}", "--help"], capture_output=True, text=True, check=True)
        assert "directory of the stage before" in done.stdout or "directory of the baseline" in done.stdout
        assert "--settings" in done.stdout
