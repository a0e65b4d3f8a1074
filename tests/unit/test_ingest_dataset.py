"""The dataset directory that ingest writes: content-addressed, whole or absent, and verified before it is used again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import MANIFEST_NAME, open_dataset, verify_dataset
from edgepress.errors import DataError, IntegrityError
from edgepress.ingest.content import CHUNK_BYTES, Examples, as_model_input
from edgepress.ingest.step import IngestResult, ingest


def write_source(path: Path, seed: int = 0, **changes: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"x": rng.normal(size=(60, 5)), "y": np.arange(60) % 3, "site": np.array(["a", "b"]).repeat(30)}
    np.savez(path, **(arrays | changes))
    return path


def run(source: Path, root: Path) -> IngestResult:
    return ingest(settings=DatasetSettings(source=str(source), slice_columns=("site",)), root=root)


@pytest.fixture
def ingested(tmp_path: Path) -> Path:
    return run(write_source(tmp_path / "data.npz"), tmp_path / "root").path


def test_equal_content_has_one_digest_wherever_and_however_it_is_stored(tmp_path: Path, ingested: Path) -> None:
    with np.load(tmp_path / "data.npz") as archive:
        np.savez_compressed(tmp_path / "renamed.npz", **dict(archive))
    result = run(tmp_path / "renamed.npz", tmp_path / "another root")
    assert result.path.name == ingested.name
    for path in ingested.rglob("*.np?"):
        assert path.read_bytes() == (result.path / path.relative_to(ingested)).read_bytes()


@pytest.mark.parametrize("key", ["x", "y", "site"])
def test_any_other_value_gives_another_digest(tmp_path: Path, ingested: Path, key: str) -> None:
    with np.load(tmp_path / "data.npz") as archive:
        values = archive[key]
    values[[0, 1]] = values[[1, 0]] if key != "site" else "b"
    changed = write_source(tmp_path / "changed.npz", **{key: values})
    assert run(changed, tmp_path / "root").path.name != ingested.name


def test_a_whole_directory_is_used_again(tmp_path: Path, ingested: Path) -> None:
    def files() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in ingested.rglob("*")}

    before = files()
    assert run(tmp_path / "data.npz", tmp_path / "root").path == ingested
    assert files() == before


def test_a_damaged_directory_is_replaced(tmp_path: Path, ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def flip_a_byte() -> None:
        path = ingested / "test" / "inputs" / "x.npy"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    damages = {
        "its content is not the one": flip_a_byte,
        "is not a readable .npy file": lambda: (ingested / "train" / "labels.npy").unlink(),
        "slices.npz": lambda: (ingested / "test" / "slices.npz").write_bytes(b""),
        "this is not a dataset directory": lambda: (ingested / MANIFEST_NAME).unlink(),
    }
    for expected, damage in damages.items():
        damage()
        with pytest.raises((DataError, IntegrityError), match=expected):
            verify_dataset(ingested)
        assert run(tmp_path / "data.npz", tmp_path / "root").path == ingested
        assert "is damaged and is replaced" in capsys.readouterr().out
        verify_dataset(ingested)
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == sorted([".ingest.lock", ingested.name])


def test_what_a_killed_run_left_behind_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "root" / ".ingest-killed" / "dataset" / "train"
    left.mkdir(parents=True)
    (left / "half.npy").write_bytes(b"half")
    result = run(write_source(tmp_path / "data.npz"), tmp_path / "root")
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == sorted([".ingest.lock", result.path.name])


def test_the_manifest_holds_no_time_and_no_path(ingested: Path, tmp_path: Path) -> None:
    manifest = json.loads((ingested / MANIFEST_NAME).read_text())
    assert sorted(manifest) == ["counts", "digest", "inputs", "labels", "name", "schema_version", "slice_columns", "split_digests", "task"]
    assert str(tmp_path) not in (ingested / MANIFEST_NAME).read_text()


def test_a_copied_directory_is_still_the_same_dataset(ingested: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ingested, copy)
    assert verify_dataset(copy).manifest == open_dataset(ingested).manifest


def test_examples_are_converted_in_bounded_chunks() -> None:
    images = np.zeros((100, 512, 512), dtype=np.uint8)  # 100 MiB as float32
    examples = Examples(inputs={"image": images}, labels=np.zeros(100, dtype=np.int64), where=str, slices={})
    sizes = [chunk.nbytes for chunk in examples.chunks("image", np.arange(100))]
    assert sum(sizes) == images.size * 4
    assert max(sizes) <= CHUNK_BYTES


@settings(deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5)))
def test_pixels_become_fractions_and_keep_their_order(pixels: np.ndarray) -> None:
    values = as_model_input(pixels, "unit")
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert values.shape == ((*pixels.shape, 1) if pixels.ndim == 3 else pixels.shape)
    np.testing.assert_array_equal(np.rint(values.reshape(pixels.shape) * 255).astype(np.uint8), pixels)
