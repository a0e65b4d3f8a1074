"""Bundles: what they hold, what is refused, and that every change of a bundle is noticed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgepress.contracts.candidate import TFLITE_NAME, Failure, read_candidate, write_candidate
from edgepress.contracts.dataset import open_dataset
from edgepress.contracts.release import (
    GOLDEN_EXPECTED_NAME,
    GOLDEN_INPUTS_NAME,
    MANIFEST_NAME,
    BundleFile,
    ReleaseManifest,
    read_manifest,
)
from edgepress.contracts.verdict import VERDICT_NAME, read_verdict
from edgepress.device.digest import digest_bytes, digest_file
from edgepress.errors import IntegrityError
from edgepress.release.bundle import build_bundle
from edgepress.release.golden import read_archive, write_archive
from edgepress.release.verify import verify_bundle, verify_files
from edgepress.tflite.litert import LiteRTModel
from tests.unit.candidate_files import TFLITE_FILES
from tests.unit.release_files import RECIPE, Judged, bind, write_judged, write_verdict

FILES = [
    "golden/expected.npz",
    "golden/inputs.npz",
    "model.tflite",
    "saved_model/saved_model.pb",
    "saved_model/variables/variables.data-00000-of-00001",
    "saved_model/variables/variables.index",
    "verdict.json",
]


def build(folder: Path, judged: Judged, golden_examples: int = 8) -> ReleaseManifest:
    folder.mkdir()
    return build_bundle(
        folder,
        name="digits",
        run_id="run-1",
        verdict=judged.verdict,
        nominee=judged.nominee,
        dataset=judged.dataset,
        golden_examples=golden_examples,
    )


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return write_judged(tmp_path)


def test_a_bundle_accounts_for_every_file_and_states_its_lineage(tmp_path: Path, judged: Judged) -> None:
    built = build(tmp_path / "bundle", judged)
    manifest, digest = verify_bundle(tmp_path / "bundle")
    assert manifest == built
    assert digest == digest_file(tmp_path / "bundle" / MANIFEST_NAME)
    assert [file.path for file in manifest.files] == FILES
    for file in manifest.files:
        assert (file.digest, file.size_bytes) == (
            digest_file(tmp_path / "bundle" / file.path),
            (tmp_path / "bundle" / file.path).stat().st_size,
        )
    assert (manifest.name, manifest.run_id, manifest.recipe) == ("digits", "run-1", RECIPE)
    assert manifest.tflite_digest == digest_file(judged.nominee / TFLITE_NAME)
    assert manifest.verdict_digest == digest_file(judged.verdict / VERDICT_NAME)
    assert manifest.hardware == read_verdict(judged.verdict).hardware
    assert [(stage.stage, stage.facts, stage.curves) for stage in manifest.trace] == [("convert", {"size_bytes": 1234}, {})]
    assert manifest.versions.runtime.startswith("litert ")


@pytest.mark.parametrize("model", ["conv_float32", "conv_float16", "conv_dynamic_range", "conv_int8", "conv_int8_float_io"])
def test_golden_examples_come_from_the_test_split_and_hold_what_the_model_gives(tmp_path: Path, model: str) -> None:
    judged = write_judged(tmp_path, model)
    golden = build(tmp_path / "bundle", judged, golden_examples=8).golden
    inputs = read_archive(tmp_path / "bundle" / GOLDEN_INPUTS_NAME)
    expected = read_archive(tmp_path / "bundle" / GOLDEN_EXPECTED_NAME)["outputs"]
    test = np.asarray(open_dataset(judged.dataset).split("test").inputs["image"])
    assert golden.examples == len(inputs["image"]) == len(expected) == 8
    assert len({image.tobytes() for image in inputs["image"]} & {image.tobytes() for image in test}) == 8
    np.testing.assert_array_equal(expected, LiteRTModel.open(judged.nominee / TFLITE_NAME).predict(inputs))
    assert 0 < golden.tolerance < 0.1 * np.ptp(expected)


def test_a_small_test_split_gives_all_it_has(tmp_path: Path, judged: Judged) -> None:
    assert build(tmp_path / "bundle", judged, golden_examples=1000).golden.examples == 40


def test_golden_examples_notice_a_machine_that_computes_otherwise(tmp_path: Path, judged: Judged) -> None:
    bundle = tmp_path / "bundle"
    tolerance = build(bundle, judged).golden.tolerance
    expected = read_archive(bundle / GOLDEN_EXPECTED_NAME)["outputs"].copy()
    for shift, accepted in ((0.9, True), (1.5, False), (np.nan, False)):
        shifted = expected.copy()
        shifted[3, 1] += shift * tolerance
        rewrite(bundle, GOLDEN_EXPECTED_NAME, partial(write_archive, arrays={"outputs": shifted}))
        if accepted:
            verify_bundle(bundle)
        else:
            with pytest.raises(IntegrityError, match=r"golden example 3 differs by"):
                verify_bundle(bundle)


def rewrite(bundle: Path, name: str, change: Callable[[Path], Any]) -> None:
    """Change a file and make the manifest agree with it, as somebody who knows the format would."""
    change(bundle / name)
    manifest, _ = read_manifest(bundle)
    changed = BundleFile(path=name, digest=digest_file(bundle / name), size_bytes=(bundle / name).stat().st_size)
    files = [changed if file.path == name else file for file in manifest.files]
    content = manifest.model_dump(mode="json") | {"files": [file.model_dump() for file in files]}
    (bundle / MANIFEST_NAME).write_text(json.dumps(content))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_noticed(bundle_once: Path, data: st.DataObject) -> None:
    """The manifest itself is covered by the bundle's digest, which is how a bundle is asked for."""
    name = data.draw(st.sampled_from([*FILES, MANIFEST_NAME]))
    path = bundle_once / name
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    _, digest = read_manifest(bundle_once)
    path.write_bytes(content[:at] + bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))]) + content[at + 1 :])
    try:
        if name == MANIFEST_NAME:
            assert digest_file(path) != digest
        else:
            with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
                verify_files(bundle_once)
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def bundle_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    build(folder / "bundle", write_judged(folder))
    return folder / "bundle"


def replace_link(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    (path.parent.parent / "elsewhere").write_bytes(content)
    path.symlink_to(path.parent.parent / "elsewhere")


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda bundle: (bundle / "saved_model/saved_model.pb").unlink(), r"saved_model\.pb: is missing"),
    "no golden": (lambda bundle: (bundle / GOLDEN_INPUTS_NAME).unlink(), r"inputs\.npz: is missing"),
    "no manifest": (lambda bundle: (bundle / MANIFEST_NAME).unlink(), r"this is not a release bundle"),
    "extra": (lambda bundle: (bundle / "saved_model/extra.py").write_text("x"), r"extra\.py: is not in manifest\.json"),
    "hidden extra": (lambda bundle: (bundle / ".hidden").write_text("x"), r"\.hidden: is not in manifest\.json"),
    "truncated": (lambda bundle: (bundle / TFLITE_NAME).write_bytes(b""), r"model\.tflite: is not the file"),
    "a link": (lambda bundle: replace_link(bundle / TFLITE_NAME), r"model\.tflite: is a link"),
    "not JSON": (lambda bundle: (bundle / MANIFEST_NAME).write_text("{"), r"is not a bundle's manifest"),
    "another model, listed": (
        lambda bundle: rewrite(
            bundle, TFLITE_NAME, lambda path: path.write_bytes((TFLITE_FILES / "conv_float32.tflite").read_bytes())
        ),
        r"model\.tflite: has digest",
    ),
    "another verdict, listed": (
        lambda bundle: rewrite(
            bundle, VERDICT_NAME, lambda path: path.write_text(path.read_text().replace('"test_split_uses": 3', '"test_split_uses": 1'))
        ),
        r"verdict\.json: has digest",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_named(tmp_path: Path, judged: Judged, damage: str) -> None:
    build(tmp_path / "bundle", judged)
    change, message = DAMAGES[damage]
    change(tmp_path / "bundle")
    with pytest.raises(IntegrityError, match=message) as raised:
        verify_files(tmp_path / "bundle")
    assert "\n" not in str(raised.value)


def test_a_consistent_forgery_still_fails_on_the_verdict(tmp_path: Path, judged: Judged) -> None:
    """Model, list and named digest all replaced together: the verdict judged another file."""
    bundle = tmp_path / "bundle"
    build(bundle, judged)
    rewrite(bundle, TFLITE_NAME, lambda path: path.write_bytes((TFLITE_FILES / "conv_float32.tflite").read_bytes()))
    content = json.loads((bundle / MANIFEST_NAME).read_text()) | {"tflite_digest": digest_file(bundle / TFLITE_NAME)}
    (bundle / MANIFEST_NAME).write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match=r"model\.tflite: has digest .* was judged"):
        verify_files(bundle)


def change_record(judged: Judged, **changes: object) -> None:
    write_candidate(judged.nominee, read_candidate(judged.nominee).model_copy(update=changes))


def change_verdict(judged: Judged, **changes: object) -> None:
    write_verdict(judged.verdict, read_verdict(judged.verdict).model_copy(update=changes))


def change_target(judged: Judged, **changes: object) -> None:
    write_verdict(judged.verdict, bind(read_verdict(judged.verdict), judged.nominee, **changes))


def retrain(judged: Judged) -> None:
    (judged.nominee / TFLITE_NAME).write_bytes((TFLITE_FILES / "conv_float32.tflite").read_bytes())
    change_record(judged, tflite_digest=digest_file(judged.nominee / TFLITE_NAME))


OTHER = digest_bytes(b"other")
REFUSALS: dict[str, tuple[Callable[[Judged], Any], str]] = {
    "rejected": (lambda judged: change_verdict(judged, outcome="rejected"), r"the verdict is rejected"),
    "inconclusive": (lambda judged: change_verdict(judged, outcome="inconclusive"), r"the verdict is inconclusive"),
    "no target": (lambda judged: change_verdict(judged, targets=()), r"only a passed one"),
    "a target rejected": (lambda judged: change_target(judged, outcome="rejected"), r"the verdict for local is rejected"),
    "another file judged": (lambda judged: change_target(judged, digest=OTHER), r"model\.tflite: has digest"),
    "file changed after": (retrain, r"model\.tflite: has digest .* was judged"),
    "only saved_model judged": (
        lambda judged: change_target(judged, artifact="saved_model", digest=read_candidate(judged.nominee).saved_model_digest),
        r"no target judged model\.tflite",
    ),
    "another recipe": (lambda judged: change_verdict(judged, nominee="int8"), r"about recipe int8"),
    "another dataset judged": (lambda judged: change_verdict(judged, dataset_digest=OTHER), r"was given on dataset"),
    "another dataset trained": (lambda judged: change_record(judged, dataset_digest=OTHER), r"was made from dataset"),
    "failed": (
        lambda judged: change_record(judged, failure=Failure(stage="quantize", reason="diverged")),
        r"failed at quantize \(diverged\)",
    ),
    "record disagrees": (lambda judged: change_record(judged, saved_model_digest=OTHER), r"saved_model: has digest"),
    "no digest recorded": (lambda judged: change_record(judged, tflite_digest=None), r"model\.tflite: has digest"),
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
        build(tmp_path / "bundle", judged)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "bundle" / MANIFEST_NAME).exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "", ".", "a\\b", "a\nb"])
def test_a_manifest_cannot_name_a_path_outside_the_bundle(path: str) -> None:
    with pytest.raises(ValidationError):
        BundleFile(path=path, digest=OTHER, size_bytes=0)


def test_a_manifest_lists_each_file_once_in_order(bundle_once: Path) -> None:
    manifest, _ = read_manifest(bundle_once)
    plain = manifest.model_dump(mode="json")
    wrong: list[list[object]] = [plain["files"][::-1], plain["files"] + plain["files"][-1:], []]
    for files in wrong:
        with pytest.raises(ValidationError):
            ReleaseManifest.model_validate_json(json.dumps(plain | {"files": files}))
    with pytest.raises(ValidationError):
        ReleaseManifest.model_validate_json(json.dumps(plain | {"surprise": 1}))


@given(names=st.lists(st.sampled_from(["file", "allow_pickle", "image", "a.b"]), min_size=1, unique=True))
def test_an_archive_takes_any_input_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("archive")
    arrays = {name: np.full((2, index + 1), index, np.float32) for index, name in enumerate(names)}
    write_archive(folder / "a.npz", arrays)
    write_archive(folder / "b.npz", arrays)
    read = read_archive(folder / "a.npz")
    assert list(read) == names
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


def test_an_archive_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", outputs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(IntegrityError, match=r"evil\.npz: is not a readable"):
        read_archive(tmp_path / "evil.npz")
