import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgepress.contracts.candidate import read_candidate
from edgepress.contracts.nomination import read_nomination
from edgepress.contracts.policy import GateSettings
from edgepress.contracts.verdict import read_verdict
from edgepress.device.digest import digest_bytes, digest_tree
from edgepress.errors import InputError, IntegrityError
from edgepress.gate.step import judge, nominate
from tests.unit.sample_run import MODELS, POLICY, SampleRun, build_run


def nominate_run(run: SampleRun, output: Path, policy: GateSettings = POLICY, **changes: Any) -> None:
    output.mkdir(exist_ok=True)
    arguments: dict[str, Any] = {
        "policy": policy,
        "baseline": run.baseline,
        "candidates": run.candidates,
        "baseline_evaluation": run.baseline_evaluation,
        "evaluations": run.evaluations,
        "benchmark": run.benchmark,
        "output": output / "nomination",
        "nominee": output / "nominee",
    }
    nominate(**(arguments | changes))


def judge_run(
    run: SampleRun,
    output: Path,
    *,
    run_id: str = "run-1",
    policy: GateSettings = POLICY,
    tested: str = "pruned-int8",
    ledger: Path | None = None,
) -> str:
    return judge(
        policy=policy,
        nomination=output / "nomination",
        nominee=output / "nominee",
        nominee_evaluation=run.test_evaluations[tested],
        baseline_evaluation=run.baseline_test_evaluation,
        benchmark=run.benchmark,
        ledger=str(ledger or run.root / "ledger"),
        run_id=run_id,
        output=output / f"verdict-{run_id}",
    )


def test_nominate_then_judge(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    nominate_run(run, out)
    nominee = read_candidate(out / "nominee")
    assert nominee.recipe == "pruned-int8"
    assert digest_tree(out / "nominee") == digest_tree(tmp_path / "candidate-pruned-int8")
    nomination = read_nomination(out / "nomination")
    assert (nomination.nominee, nomination.nominee_artifacts) == ("pruned-int8", nominee.artifacts)
    assert judge_run(run, out) == "passed"
    verdict = read_verdict(out / "verdict-run-1")
    assert (verdict.outcome, verdict.nominee, verdict.test_split_uses) == ("passed", "pruned-int8", 1)
    assert verdict.candidates == nomination.candidates
    assert json.loads((out / "verdict-run-1" / "verdict.json").read_text())["hardware"]["class"] == "x86-avx2"
    assert not list(out.glob(".*"))


def test_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    nominate_run(run, tmp_path / "a")
    shuffled = random.Random(3)
    nominate_run(
        run,
        tmp_path / "b",
        candidates=shuffled.sample(run.candidates, len(run.candidates)),
        evaluations=shuffled.sample(run.evaluations, len(run.evaluations)),
    )
    assert digest_tree(tmp_path / "a") == digest_tree(tmp_path / "b")


def test_uses_of_the_test_split_accumulate_over_runs(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    nominate_run(run, out)
    for index in range(3):
        judge_run(run, out, run_id=f"run-{index}")
        assert read_verdict(out / f"verdict-run-{index}").test_split_uses == index + 1


def test_another_training_split_makes_no_fresh_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, dataset in enumerate((b"all training examples", b"half of them")):
        monkeypatch.setattr("tests.unit.sample_run.DATASET_DIGEST", digest_bytes(dataset))
        folder = tmp_path / str(index)
        folder.mkdir()
        run, out = build_run(folder), folder / "out"
        nominate_run(run, out)
        judge_run(run, out, run_id=f"run-{index}", ledger=tmp_path / "ledger")
        assert read_verdict(out / f"verdict-run-{index}").test_split_uses == index + 1


@pytest.mark.parametrize("policy", ["{}", '{"accuracy": {"min": 0.99}}'])
def test_nobody_nominated(tmp_path: Path, policy: str) -> None:
    run, out, settings = build_run(tmp_path), tmp_path / "out", GateSettings.model_validate_json(policy)
    nominate_run(run, out, settings)
    stand_in = read_candidate(out / "nominee")
    assert stand_in.failure is not None
    assert stand_in.failure.reason == "nothing was nominated"
    assert judge_run(run, out, policy=settings, tested="hot-student") == "rejected"
    verdict = read_verdict(out / "verdict-run-1")
    assert (verdict.nominee, verdict.targets, verdict.test_split_uses) == (None, (), 0)  # nobody looked at the test split
    assert all(candidate.reasons for candidate in verdict.candidates)


def test_file_changed_between_nominate_and_judge_rejects(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    nominate_run(run, out)
    (out / "nominee" / "model.tflite").write_bytes(b"something else")
    assert judge_run(run, out) == "rejected"


def test_file_changed_before_nominate_is_ineligible(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    (tmp_path / "candidate-pruned-int8" / "model.tflite").write_bytes(b"something else")
    nominate_run(run, out)
    assert read_nomination(out / "nomination").nominee == "int8"


def test_laxer_policy_at_judgement_rejects(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    nominate_run(run, out)
    assert judge_run(run, out, policy=GateSettings.model_validate_json('{"accuracy": {"min": 0.1}}')) == "rejected"


def test_nan_in_a_record_is_an_integrity_error_and_writes_nothing(tmp_path: Path) -> None:
    run, out = build_run(tmp_path), tmp_path / "out"
    path = run.evaluations[1] / "evaluation.json"
    path.write_text(path.read_text().replace("0.9204", "NaN", 1))
    with pytest.raises(IntegrityError, match=r"evaluation\.json"):
        nominate_run(run, out)
    assert not list(out.iterdir())


def test_existing_output_is_refused(tmp_path: Path) -> None:
    run, out = build_run(tmp_path, MODELS[:1]), tmp_path / "out"
    nominate_run(run, out)
    before = digest_tree(out)
    with pytest.raises(InputError, match="exists already"):
        nominate_run(run, out)
    assert digest_tree(out) == before


def test_steps_work_by_hand(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    arguments = [f"--baseline={run.baseline}", f"--baseline-evaluation={run.baseline_evaluation}", f"--benchmark={run.benchmark}"]
    arguments += [f"--candidates={path}" for path in run.candidates] + [f"--evaluations={path}" for path in run.evaluations]
    arguments += [f"--policy={POLICY.model_dump_json()}", f"--output={tmp_path / 'nomination'}", f"--nominee={tmp_path / 'nominee'}"]
    done = subprocess.run([sys.executable, "-m", "edgepress.gate", "nominate", *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pruned-int8: nominated" in done.stdout
    arguments = [f"--nomination={tmp_path / 'nomination'}", f"--nominee={tmp_path / 'nominee'}", f"--benchmark={run.benchmark}"]
    arguments += [f"--nominee-evaluation={run.test_evaluations['pruned-int8']}", f"--baseline-evaluation={run.baseline_test_evaluation}"]
    arguments += [
        f"--policy={POLICY.model_dump_json()}",
        "--run-id=r",
        f"--ledger={tmp_path / 'ledger'}",
        f"--output={tmp_path / 'verdict'}",
    ]
    done = subprocess.run([sys.executable, "-m", "edgepress.gate", "judge", *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")


def test_gate_needs_neither_tensorflow_nor_litert() -> None:
    code = (
        "import sys, edgepress.gate.step; print([m for m in ('tensorflow', 'ai_edge_litert', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(json.loads(done.stdout.replace("'", '"'))) <= {"numpy"}
