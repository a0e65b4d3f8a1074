"""A verdict on four candidates, in three outcomes."""

from edgepress.contracts.policy import GateSettings, policy_digest
from edgepress.contracts.verdict import Verdict

DIGEST = "sha256:" + "0" * 64
POLICY = GateSettings.model_validate_json('{"accuracy": {"max_drop": 0.03}, "size_gzip_bytes": {"max": 50000.0}}')
BASELINE = {"accuracy": 0.9806, "size_bytes": 316228, "size_gzip_bytes": 290137, "latency_p50_ms": 0.041}


def verdict_of(kind: str) -> Verdict:
    """A verdict on four candidates. ``kind``: passed, rejected (on test data), or none (nobody is eligible)."""
    int8 = {"accuracy": 0.975, "accuracy_drop": 0.0056, "size_gzip_bytes": 78766, "latency_p50_ms": 0.0467, "latency_ratio": 1.14}
    student = {"accuracy": 0.9722, "accuracy_drop": 0.0084, "size_gzip_bytes": 14438, "latency_p50_ms": 0.0123, "latency_ratio": 0.3}
    slow = "p50 latency is 1.6 of the baseline's, above the maximum 1.5"
    nobody = kind == "none"
    candidates = [
        ("student-int8", "ineligible" if nobody else "nominated", [slow] if nobody else [], student),
        ("int8", "ineligible" if nobody else "eligible", [slow] if nobody else [], int8),
        ("pruned50-clustered16-int8", "ineligible", [slow if nobody else "accuracy is 0.05 below the baseline's, more than 0.03"], int8),
        ("qat", "failed", ["quantize: the loss became NaN in epoch 2; lower train.learning_rate"], {}),
    ]
    outcome = "passed" if kind == "passed" else "rejected"
    lost = 0.0112 if kind == "passed" else 0.0412
    accuracy = {"name": "accuracy.max_drop", "observed": lost, "threshold": 0.03, "outcome": outcome}
    accuracy["reason"] = f"accuracy is {accuracy['observed']} below the baseline's, {'within' if kind == 'passed' else 'more than'} 0.03"
    size = {"name": "size_gzip_bytes.max", "observed": 14438, "threshold": 50000.0, "outcome": "passed", "reason": "small enough"}
    target = {
        "channel": "local",
        "artifact": "tflite",
        "digest": DIGEST,
        "policy": POLICY,
        "policy_digest": policy_digest(POLICY),
        "outcome": outcome,
        "metrics": student | {"accuracy": round(BASELINE["accuracy"] - lost, 4), "accuracy_drop": lost},
        "checks": (accuracy | {"interval": None}, size | {"interval": None}),
    }
    return Verdict.model_validate(
        {
            "outcome": outcome,
            "task": "classification",
            "nominee": None if nobody else "student-int8",
            "dataset_digest": DIGEST,
            "test_split_uses": 0 if nobody else 3,
            "hardware": {"class": "epyc", "cpu": "AMD EPYC (avx2, fma)", "runtime": "litert 2.3.0", "threads": 1},
            "candidates": tuple(
                {"recipe": recipe, "outcome": outcome, "model_digest": DIGEST, "reasons": tuple(reasons), "metrics": metrics}
                for recipe, outcome, reasons, metrics in candidates
            ),
            "targets": () if nobody else (target,),
            "baseline": {"metrics": BASELINE},
        }
    )
