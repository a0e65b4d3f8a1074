"""Bundles: what they hold, and what is refused when one is built."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepress.contracts.candidate import SAVED_MODEL_NAME, TFLITE_NAME, Failure, read_candidate, write_candidate
from edgepress.contracts.dataset import open_dataset
from edgepress.contracts.policy import GateSettings, policy_digest
from edgepress.contracts.release import MANIFEST_NAME, BundleFile, ReleaseManifest
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.device.archive import read_archive
from edgepress.device.digest import digest_bytes, digest_file, digest_tree
from edgepress.device.self_test import GOLDEN_INPUTS_NAME, golden_name
from edgepress.errors import IntegrityError
from edgepress.release.verify import verify_bundle
from edgepress.tflite.litert import LiteRTModel
from tests.unit.candidate_files import TFLITE_FILES
from tests.unit.release_files import BUNDLE_FILES, RECIPE, Judged, bind, build_sample, write_judged, write_verdict


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return write_judged(tmp_path)


def test_a_bundle_accounts_for_every_file_and_states_its_lineage(tmp_path: Path, judged: Judged) -> None:
    built = build_sample(tmp_path / "bundle", judged)
    manifest, digest = verify_bundle(tmp_path / "bundle")
    assert manifest == built
    assert digest == digest_file(tmp_path / "bundle" / MANIFEST_NAME)
    assert [file.path for file in manifest.files] == BUNDLE_FILES
    for file in manifest.files:
        assert (file.digest, file.size_bytes) == (
            digest_file(tmp_path / "bundle" / file.path),
            (tmp_path / "bundle" / file.path).stat().st_size,
        )
    assert (manifest.name, manifest.run_id, manifest.recipe) == ("digits", "run-1", RECIPE)
    assert manifest.artifacts == {
        "tflite": digest_file(judged.nominee / TFLITE_NAME),
        "saved_model": digest_tree(judged.nominee / SAVED_MODEL_NAME),
    }
    assert (manifest.task, manifest.labels) == ("classification", ("label 0", "label 1", "label 2", "label 3"))
    assert manifest.verdict_digest == digest_file(judged.verdict / VERDICT_NAME)
    assert manifest.hardware == read_verdict(judged.verdict).hardware
    assert [(stage.stage, stage.facts, stage.curves) for stage in manifest.trace] == [("convert", {"size_bytes": 1234}, {})]
    assert manifest.versions.runtime.startswith("litert ")


@pytest.mark.parametrize("model", ["conv_float32", "conv_float16", "conv_dynamic_range", "conv_int8", "conv_int8_float_io"])
def test_golden_examples_come_from_the_validation_split_and_hold_what_the_model_gives(tmp_path: Path, model: str) -> None:
    judged = write_judged(tmp_path, model)
    golden = build_sample(tmp_path / "bundle", judged, golden_examples=8).golden
    inputs = read_archive(tmp_path / "bundle" / GOLDEN_INPUTS_NAME)
    expected = read_archive(tmp_path / "bundle" / golden_name("tflite"))["outputs"]
    dataset = open_dataset(judged.dataset)
    seen = {name: {image.tobytes() for image in np.asarray(dataset.split(name).inputs["image"])} for name in ("validation", "test")}
    assert golden.examples == len(inputs["image"]) == len(expected) == 8
    assert len({image.tobytes() for image in inputs["image"]} & seen["validation"]) == 8
    assert not {image.tobytes() for image in inputs["image"]} & seen["test"], "test examples do not leave the house"
    np.testing.assert_array_equal(expected, LiteRTModel.open(judged.nominee / TFLITE_NAME).predict(inputs))
    assert 0 < golden.tolerance["tflite"] < 0.1 * np.ptp(expected)


def test_what_was_not_judged_has_no_golden_outputs(tmp_path: Path, judged: Judged) -> None:
    """Nobody said that it is good, so nothing is promised of it."""
    manifest = build_sample(tmp_path / "bundle", judged)
    assert list(manifest.artifacts) == ["tflite", "saved_model"]
    assert list(manifest.golden.tolerance) == ["tflite"]
    assert not (tmp_path / "bundle" / golden_name("saved_model")).exists()


def test_a_small_validation_split_gives_all_it_has(tmp_path: Path, judged: Judged) -> None:
    assert build_sample(tmp_path / "bundle", judged, golden_examples=1000).golden.examples == 40


def change_record(judged: Judged, **changes: object) -> None:
    write_candidate(judged.nominee, read_candidate(judged.nominee).model_copy(update=changes))


def change_artifacts(judged: Judged, **digests: str | None) -> None:
    """Change what the record says of artifacts; None takes one out."""
    artifacts = {str(kind): digest for kind, digest in read_candidate(judged.nominee).artifacts.items()} | digests
    change_record(judged, artifacts={kind: digest for kind, digest in artifacts.items() if digest is not None})


def change_verdict(judged: Judged, **changes: object) -> None:
    write_verdict(judged.verdict, read_verdict(judged.verdict).model_copy(update=changes))


def change_target(judged: Judged, **changes: object) -> None:
    write_verdict(judged.verdict, bind(read_verdict(judged.verdict), judged.nominee, **changes))


def change_check(judged: Judged, **changes: object) -> None:
    (target,) = read_verdict(judged.verdict).targets
    change_target(judged, checks=(target.checks[0].model_copy(update=changes), *target.checks[1:]))


def change_metrics(judged: Judged, **changes: float) -> None:
    (target,) = read_verdict(judged.verdict).targets
    change_target(judged, metrics=dict(target.metrics) | changes)


def retrain(judged: Judged) -> None:
    (judged.nominee / TFLITE_NAME).write_bytes((TFLITE_FILES / "conv_float32.tflite").read_bytes())
    change_artifacts(judged, tflite=digest_file(judged.nominee / TFLITE_NAME))


OTHER = digest_bytes(b"other")
REFUSALS: dict[str, tuple[Callable[[Judged], Any], str]] = {
    "rejected": (lambda judged: change_verdict(judged, outcome="rejected"), r"the verdict is rejected"),
    "inconclusive": (lambda judged: change_verdict(judged, outcome="inconclusive"), r"the verdict is inconclusive"),
    "no target": (lambda judged: change_verdict(judged, targets=()), r"only a passed one"),
    "a target rejected": (lambda judged: change_target(judged, outcome="rejected"), r"the verdict for local is rejected"),
    "a check failed": (lambda judged: change_check(judged, outcome="rejected"), r"its check accuracy\.max_drop for local is rejected"),
    "another value observed": (lambda judged: change_check(judged, observed=0.001), r"is passed at 0\.001 .* give passed at 0\.0112"),
    "another threshold": (lambda judged: change_check(judged, threshold=0.5), r"under the threshold 0\.5, but policy and metrics give"),
    "another check": (
        lambda judged: change_check(judged, name="accuracy.min"),
        r"its checks for local are accuracy\.min, size_",
    ),
    "no checks": (lambda judged: change_target(judged, checks=()), r"its checks for local are none"),
    "a policy without thresholds": (
        lambda judged: change_target(judged, policy=GateSettings(), policy_digest=policy_digest(GateSettings()), checks=()),
        r"are none, but its policy demands policy",
    ),
    "another policy": (lambda judged: change_target(judged, policy_digest=OTHER), r"its policy for local has digest"),
    "metrics that fail the policy": (lambda judged: change_metrics(judged, size_gzip_bytes=60_000), r"give rejected at 60000\.0"),
    "metrics that disagree": (lambda judged: change_metrics(judged, accuracy_drop=-0.5), r"its accuracy_drop for local is -0\.5"),
    "nobody nominated": (lambda judged: change_verdict(judged, candidates=()), r"among its candidates that is missing"),
    "another file judged": (lambda judged: change_target(judged, digest=OTHER), r"model\.tflite: has digest"),
    "file changed after": (retrain, r"model\.tflite: has digest .* was judged"),
    "only saved_model judged": (
        lambda judged: change_target(judged, artifact="saved_model", digest=read_candidate(judged.nominee).artifacts["saved_model"]),
        r"no target judged model\.tflite",
    ),
    "another recipe": (lambda judged: change_verdict(judged, nominee="int8"), r"about recipe int8"),
    "another task judged": (lambda judged: change_verdict(judged, task="regression"), r"about regression, but .* is for classification"),
    "another dataset judged": (lambda judged: change_verdict(judged, dataset_digest=OTHER), r"was given on dataset"),
    "another dataset trained": (lambda judged: change_record(judged, dataset_digest=OTHER), r"was made from dataset"),
    "failed": (
        lambda judged: change_record(judged, failure=Failure(stage="quantize", reason="diverged")),
        r"failed at quantize \(diverged\)",
    ),
    "record disagrees": (lambda judged: change_artifacts(judged, saved_model=OTHER), r"saved_model: has digest"),
    "no digest recorded": (lambda judged: change_artifacts(judged, tflite=None), r"model\.tflite: has digest"),
    "no SavedModel": (lambda judged: (judged.nominee / "saved_model").rename(judged.nominee / "gone"), r"saved_model: is missing"),
    "no verdict": (lambda judged: (judged.verdict / VERDICT_NAME).unlink(), r"verdict\.json: is missing"),
    "no record": (lambda judged: (judged.nominee / "candidate.json").unlink(), r"is not a candidate record"),
    "never converted": (lambda judged: change_record(judged, trace=()), r"names no convert stage"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_was_not_judged_is_refused(tmp_path: Path, judged: Judged, refusal: str) -> None:
    change, message = REFUSALS[refusal]
    change(judged)
    with pytest.raises(IntegrityError, match=message) as raised:
        build_sample(tmp_path / "bundle", judged)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "bundle" / MANIFEST_NAME).exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "", ".", "a\\b", "a\nb"])
def test_a_manifest_cannot_name_a_path_outside_the_bundle(path: str) -> None:
    with pytest.raises(ValidationError):
        BundleFile(path=path, digest=OTHER, size_bytes=0)


def test_a_manifest_lists_each_file_once_in_order_and_golden_outputs_of_what_it_ships(tmp_path: Path, judged: Judged) -> None:
    plain = build_sample(tmp_path / "bundle", judged).model_dump(mode="json")
    wrong: list[dict[str, object]] = [
        {"files": plain["files"][::-1]},
        {"files": plain["files"] + plain["files"][-1:]},
        {"files": []},
        {"surprise": 1},
        {"artifacts": {}},
        {"artifacts": {"saved_model": plain["artifacts"]["saved_model"]}},
    ]
    for change in wrong:
        with pytest.raises(ValidationError):
            ReleaseManifest.model_validate_json(json.dumps(plain | change))
