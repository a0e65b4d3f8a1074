"""Verifying bundles: every change is noticed and named, on files that agree with each other as well."""

import copy
import io
import json
import os
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepress.contracts.candidate import TFLITE_NAME
from edgepress.contracts.release import MANIFEST_NAME, BundleFile, read_manifest
from edgepress.contracts.verdict import VERDICT_NAME
from edgepress.device.archive import read_archive, write_archive
from edgepress.device.digest import digest_file
from edgepress.device.self_test import GOLDEN_INPUTS_NAME, golden_name
from edgepress.errors import IntegrityError
from edgepress.release.verify import verify_bundle, verify_files
from tests.unit.candidate_files import TFLITE_FILES
from tests.unit.release_files import BUNDLE_FILES, build_sample, write_judged

EXPECTED_NAME = golden_name("tflite")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build_sample(tmp_path / "bundle", write_judged(tmp_path))
    return tmp_path / "bundle"


@pytest.fixture(scope="module")
def bundle_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    build_sample(folder / "bundle", write_judged(folder))
    return folder / "bundle"


def rewrite(bundle: Path, name: str, change: Callable[[Path], Any]) -> None:
    """Change a file and make the manifest agree with it, as somebody who knows the format would."""
    change(bundle / name)
    manifest, _ = read_manifest(bundle)
    changed = BundleFile(path=name, digest=digest_file(bundle / name), size_bytes=(bundle / name).stat().st_size)
    files = [changed if file.path == name else file for file in manifest.files]
    content = manifest.model_dump(mode="json") | {"files": [file.model_dump() for file in files]}
    (bundle / MANIFEST_NAME).write_text(json.dumps(content))


def change_manifest(bundle: Path, **fields: object) -> None:
    content = json.loads((bundle / MANIFEST_NAME).read_text())
    (bundle / MANIFEST_NAME).write_text(json.dumps(content | fields))


def test_golden_examples_notice_a_machine_that_computes_otherwise(bundle: Path) -> None:
    tolerance = read_manifest(bundle)[0].golden.tolerance["tflite"]
    expected = read_archive(bundle / EXPECTED_NAME)["outputs"].copy()
    for shift, accepted in ((0.9, True), (1.5, False)):
        shifted = expected.copy()
        shifted[3, 1] += shift * tolerance
        rewrite(bundle, EXPECTED_NAME, partial(write_archive, arrays={"outputs": shifted}))
        if accepted:
            verify_bundle(bundle)
        else:
            with pytest.raises(IntegrityError, match=r"model\.tflite: output \[1\] of golden example 3 is"):
                verify_bundle(bundle)


@pytest.mark.parametrize("tolerance", [1e30, 1.0])
def test_a_tolerance_that_lets_any_model_through_is_refused(bundle: Path, tolerance: float) -> None:
    golden = read_manifest(bundle)[0].golden
    change_manifest(bundle, golden=golden.model_copy(update={"tolerance": {"tflite": tolerance}}).model_dump())
    with pytest.raises(IntegrityError, match=r"manifest\.json: tolerates .* in the outputs of model\.tflite, where 0\.\d+ is needed"):
        verify_bundle(bundle)


def test_a_verdict_that_contradicts_itself_is_noticed_in_a_consistent_bundle(bundle: Path) -> None:
    """A failing check beside "passed", and every digest set right."""
    rewrite(bundle, VERDICT_NAME, lambda path: path.write_text(path.read_text().replace('"observed": 0.0112', '"observed": 0.5')))
    change_manifest(bundle, verdict_digest=digest_file(bundle / VERDICT_NAME))
    with pytest.raises(IntegrityError, match=r"verdict\.json: contradicts itself: its check accuracy\.max_drop .* is passed at 0\.5"):
        verify_files(bundle)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_noticed(bundle_once: Path, data: st.DataObject) -> None:
    """The manifest itself is covered by the bundle's digest, which is how a bundle is asked for."""
    name = data.draw(st.sampled_from([*BUNDLE_FILES, MANIFEST_NAME]))
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


def replace_link(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    (path.parent.parent / "elsewhere").write_bytes(content)
    path.symlink_to(path.parent.parent / "elsewhere")


def replace_fifo(path: Path) -> None:
    """Whoever opens it waits for a writer that never comes."""
    path.unlink()
    os.mkfifo(path)


def replace_socket(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o600 | stat.S_IFSOCK)


def stored(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("outputs.npy", content)


def array_of(declared: int, held: int) -> bytes:
    """A ``.npy`` file of so many bytes by its header, and by what follows."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (declared,)})
    return header.getvalue() + bytes(held)


def share_content(path: Path) -> None:
    """Two members whose bytes are the same place of the file."""
    stored(path, array_of(1 << 16, 1 << 16))
    with zipfile.ZipFile(path, "a") as archive:
        again = copy.copy(archive.infolist()[0])
        again.filename = "again.npy"
        archive.filelist.append(again)
        archive.NameToInfo["again.npy"] = again
        archive.writestr("last.npy", b"")  # without a new member the list is not written again


ARCHIVES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "compressed": (lambda path: stored(path, array_of(1 << 26, 1 << 26), zipfile.ZIP_DEFLATED), r"holds compressed arrays"),
    "shared content": (share_content, r"declares more than it holds"),
    "a header that lies": (lambda path: stored(path, array_of(1 << 45, 10)), r"is not a readable \.npz file"),
    "no array": (lambda path: stored(path, b"no"), r"is not a readable \.npz file"),
}


@pytest.mark.parametrize("forged", ARCHIVES)
def test_golden_archives_are_held_to_their_size_before_they_are_unpacked(bundle: Path, forged: str) -> None:
    change, message = ARCHIVES[forged]
    rewrite(bundle, EXPECTED_NAME, change)
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match=rf"golden/tflite\.npz: {message}"):
            verify_bundle(bundle)
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda bundle: (bundle / "saved_model/saved_model.pb").unlink(), r"saved_model\.pb: is missing"),
    "no golden": (lambda bundle: (bundle / GOLDEN_INPUTS_NAME).unlink(), r"inputs\.npz: is missing"),
    "no manifest": (lambda bundle: (bundle / MANIFEST_NAME).unlink(), r"this is not a release bundle"),
    "extra": (lambda bundle: (bundle / "saved_model/extra.py").write_text("x"), r"extra\.py: is not in manifest\.json"),
    "hidden extra": (lambda bundle: (bundle / ".hidden").write_text("x"), r"\.hidden: is not in manifest\.json"),
    "truncated": (lambda bundle: (bundle / TFLITE_NAME).write_bytes(b""), r"model\.tflite: is not the file"),
    "a link": (lambda bundle: replace_link(bundle / TFLITE_NAME), r"model\.tflite: is a link"),
    "a linked manifest": (lambda bundle: replace_link(bundle / MANIFEST_NAME), r"manifest\.json: is a link"),
    "a FIFO for a manifest": (lambda bundle: replace_fifo(bundle / MANIFEST_NAME), r"manifest\.json: is no file"),
    "a FIFO": (lambda bundle: replace_fifo(bundle / TFLITE_NAME), r"model\.tflite: is no file \(a FIFO"),
    "a socket": (lambda bundle: replace_socket(bundle / VERDICT_NAME), r"verdict\.json: is no file"),
    "a huge manifest": (lambda bundle: os.truncate(bundle / MANIFEST_NAME, 1 << 32), r"manifest\.json: is larger than 16,777,216 bytes"),
    "no expected outputs": (lambda bundle: (bundle / EXPECTED_NAME).unlink(), r"golden/tflite\.npz: is missing"),
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
def test_each_damage_is_named(bundle: Path, damage: str) -> None:
    change, message = DAMAGES[damage]
    change(bundle)
    with pytest.raises(IntegrityError, match=message) as raised:
        verify_files(bundle)
    assert "\n" not in str(raised.value)


def test_a_consistent_forgery_still_fails_on_the_verdict(bundle: Path) -> None:
    """Model, list and named digest all replaced together: the verdict judged another file."""
    rewrite(bundle, TFLITE_NAME, lambda path: path.write_bytes((TFLITE_FILES / "conv_float32.tflite").read_bytes()))
    manifest, _ = read_manifest(bundle)
    change_manifest(bundle, artifacts=manifest.artifacts | {"tflite": digest_file(bundle / TFLITE_NAME)})
    with pytest.raises(IntegrityError, match=r"model\.tflite: has digest .* was judged"):
        verify_files(bundle)


@pytest.mark.parametrize(
    ("names_artifact", "message"),
    [(True, r"manifest\.json: names no golden outputs of tflite"), (False, r"model\.tflite: is not an artifact that manifest\.json names")],
)
def test_what_was_judged_cannot_be_shipped_untested_or_unnamed(bundle: Path, names_artifact: bool, message: str) -> None:
    """The golden outputs are passed off as those of the SavedModel, which nobody judged."""
    other = golden_name("saved_model")
    (bundle / EXPECTED_NAME).rename(bundle / other)
    manifest, _ = read_manifest(bundle)
    files = [file.model_copy(update={"path": other}) if file.path == EXPECTED_NAME else file for file in manifest.files]
    change_manifest(
        bundle,
        files=[file.model_dump() for file in sorted(files, key=lambda file: file.path)],
        golden=manifest.golden.model_copy(update={"tolerance": {"saved_model": 1.0}}).model_dump(),
        artifacts={kind: digest for kind, digest in manifest.artifacts.items() if names_artifact or kind != "tflite"},
    )
    with pytest.raises(IntegrityError, match=message):
        verify_files(bundle)
