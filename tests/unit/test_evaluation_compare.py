"""A comparison is made of two evaluation directories on the same examples, and of nothing else."""

from pathlib import Path

import numpy as np
import pytest

from edgepress.contracts.evaluation import EVALUATION_NAME, OUTPUTS_NAME, SCORES_NAME, compare, open_evaluation
from edgepress.contracts.json_file import write_json
from edgepress.contracts.measured import gather_metrics
from edgepress.device.digest import digest_bytes
from edgepress.errors import IntegrityError
from tests.unit.sample_run import BASELINE_MODEL, MODELS, SampleRun, build_run


@pytest.fixture
def run(tmp_path: Path) -> SampleRun:
    return build_run(tmp_path, MODELS[:2])


def test_what_changed_beside_the_baseline(run: SampleRun) -> None:
    baseline, model = open_evaluation(run.baseline_evaluation), open_evaluation(run.evaluations[1])
    assert model.scored is not None
    assert baseline.scored is not None
    predicted, expected = (opened.scored.outputs.argmax(axis=1) for opened in (model, baseline) if opened.scored is not None)
    right, was_right = model.scored.scores == 1.0, baseline.scored.scores == 1.0
    assert compare(model, baseline) == {
        "agreement": float(np.mean(predicted == expected)),
        "regressions": int(np.sum(was_right & ~right)),
        "corrections": int(np.sum(right & ~was_right)),
        "accuracy_drop": round(BASELINE_MODEL.accuracy - MODELS[1].accuracy, 12),
    }
    assert compare(baseline, baseline) == {"agreement": 1.0, "regressions": 0, "corrections": 0, "accuracy_drop": 0.0}
    lost = compare(model, baseline)["regressions"]
    assert lost
    assert compare(baseline, model)["corrections"] == lost


def test_several_references_are_compared_with_alike(run: SampleRun) -> None:
    model = open_evaluation(run.evaluations[1])
    for reference in (run.baseline_evaluation, run.evaluations[0]):
        gathered = gather_metrics(model, None, open_evaluation(reference))
        assert gathered["accuracy"] == model.record.metrics["accuracy"]
        assert gathered["latency_p50_ms"] is None
        assert gathered["agreement"] == compare(model, open_evaluation(reference))["agreement"]


def test_other_examples_are_refused(run: SampleRun) -> None:
    model = open_evaluation(run.evaluations[1])
    with pytest.raises(IntegrityError, match="evaluate both on the same"):
        compare(model, open_evaluation(run.baseline_test_evaluation))
    record = open_evaluation(run.baseline_evaluation).record.model_copy(update={"split_digest": digest_bytes(b"other")})
    write_json(run.baseline_evaluation / EVALUATION_NAME, record)
    with pytest.raises(IntegrityError, match="evaluate both on the same"):
        compare(model, open_evaluation(run.baseline_evaluation))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (OUTPUTS_NAME, np.zeros((3, 10), np.float32)),
        (OUTPUTS_NAME, np.zeros((1000, 10), np.float64)),
        (SCORES_NAME, np.zeros((1000, 1))),
        (SCORES_NAME, b"not an array"),
        (SCORES_NAME, None),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(run: SampleRun, name: str, content: np.ndarray | bytes | None) -> None:
    path = run.baseline_evaluation / name
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(IntegrityError, match="evaluate again"):
        open_evaluation(run.baseline_evaluation)
