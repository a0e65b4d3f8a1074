"""A folder of images per class: what is read from it, and that whatever would spoil or lose an example is named."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import DatasetDirectory, open_dataset
from edgepress.errors import DataError
from edgepress.ingest.step import ingest


def save_image(path: Path, seed: int, *, mode: str = "L", size: tuple[int, int] = (6, 4)) -> np.ndarray:
    """Write random pixels, size being (width, height), and give them: uint8 [height, width(, 3)]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def make_classes(folder: Path, count: int = 10, first_seed: int = 0, **options: Any) -> Path:
    """``cat`` and ``dog`` with so many different images each."""
    for number in range(count):
        save_image(folder / "cat" / f"{number:02}.png", first_seed + 2 * number, **options)
        save_image(folder / "dog" / f"{number:02}.png", first_seed + 2 * number + 1, **options)
    return folder


def make_splits(folder: Path) -> Path:
    for number, split in enumerate(("train", "validation", "test")):
        make_classes(folder / split, 3, first_seed=100 * number)
    return folder


def run(folder: Path, **settings: Any) -> DatasetDirectory:
    root = folder.parent / f"root of {folder.name}"
    return open_dataset(ingest(settings=DatasetSettings(source=str(folder), **settings), root=root).path)


def test_given_splits_keep_their_images_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = make_splits(tmp_path / "pets")
    dataset = run(folder)
    assert dataset.manifest.name == "pets"
    assert dataset.manifest.labels == ("cat", "dog")
    assert dataset.manifest.inputs[0].shape == (4, 6, 1)
    test = dataset.split("test")
    assert test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with Image.open(folder / "test" / "dog" / "00.png") as image:
        np.testing.assert_array_equal(test.inputs["image"][3, ..., 0], np.asarray(image, dtype=np.float32) / 255)


def test_classes_alone_are_split_and_val_means_validation(tmp_path: Path) -> None:
    assert run(make_classes(tmp_path / "a", 20)).manifest.counts == {"train": 28, "validation": 4, "test": 8}
    folder = make_splits(tmp_path / "b")
    (folder / "validation").rename(folder / "val")
    assert run(folder).manifest.counts == {"train": 6, "validation": 6, "test": 6}


def test_one_colour_image_makes_all_colour(tmp_path: Path) -> None:
    folder = make_splits(tmp_path / "pets")
    pixels = save_image(folder / "train" / "dog" / "zz.png", 999, mode="RGB")
    dataset = run(folder)
    assert dataset.manifest.inputs[0].shape == (4, 6, 3)
    train = dataset.split("train").inputs["image"]
    np.testing.assert_array_equal(train[-1], pixels.astype(np.float32) / 255)
    np.testing.assert_array_equal(train[0, ..., 0], train[0, ..., 1])


def test_images_are_stretched_to_image_size(tmp_path: Path) -> None:
    folder = make_splits(tmp_path / "pets")
    save_image(folder / "train" / "cat" / "big.jpg", 5, size=(40, 30))
    dataset = run(folder, image_size=(8, 12))
    assert dataset.manifest.inputs[0].shape == (8, 12, 1)
    flat = Image.new("L", (100, 300), 77)
    flat.save(folder / "train" / "cat" / "flat.jpg", quality=100)
    train = run(folder, image_size=(8, 12)).split("train").inputs["image"]
    assert min(np.abs(image * 255 - 77).max() for image in train) < 1.5


def test_the_camera_s_orientation_is_obeyed(tmp_path: Path) -> None:
    folder = make_splits(tmp_path / "pets")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # to be seen turned clockwise by a quarter
    image.save(folder / "train" / "cat" / "zz.png", exif=exif)
    read = run(folder).split("train").inputs["image"][3, ..., 0]
    np.testing.assert_array_equal(read, np.rot90(pixels, -1).astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda pixels: Image.fromarray(pixels.astype(np.uint16) * 257), lambda pixels: pixels),  # 16 bits: scaled, not clipped
        (lambda pixels: Image.merge("LA", (Image.fromarray(pixels), Image.new("L", (6, 4), 9))), lambda pixels: pixels),
        (lambda pixels: Image.fromarray(pixels).point(lambda value: 255 * (value > 127)).convert("1"), lambda p: (p > 127) * np.uint8(255)),
    ],
    ids=["16-bit", "transparency", "1-bit"],
)
def test_kinds_of_grayscale(
    tmp_path: Path, make: Callable[[np.ndarray], Image.Image], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    folder = make_splits(tmp_path / "pets")
    pixels = np.random.default_rng(4).integers(0, 256, (4, 6), dtype=np.uint8)
    make(pixels).save(folder / "train" / "cat" / "zz.png")
    dataset = run(folder)
    assert dataset.manifest.inputs[0].shape == (4, 6, 1)
    np.testing.assert_array_equal(dataset.split("train").inputs["image"][3, ..., 0], expected(pixels).astype(np.float32) / 255)


def test_links_are_followed_and_clutter_is_passed_over(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pets")
    elsewhere = tmp_path / "elsewhere"
    for number in range(10):
        save_image(elsewhere / f"{number}.png", 500 + number)
    (folder / "linked").symlink_to(elsewhere, target_is_directory=True)
    save_image(tmp_path / "one.png", 900)
    (folder / "cat" / "link.png").symlink_to(tmp_path / "one.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._00.png"):
        (folder / "cat" / name).write_text("clutter")
    (folder / "README.md").write_text("what this is")
    (folder / ".git").mkdir()
    dataset = run(folder)
    assert dataset.manifest.labels == ("cat", "dog", "linked")
    assert sum(dataset.manifest.counts.values()) == 31


def test_the_digest_follows_the_pixels_and_nothing_else(tmp_path: Path) -> None:
    digest = run(make_splits(tmp_path / "a")).manifest.digest
    again = make_splits(tmp_path / "another name")
    os.utime(again / "train" / "cat" / "00.png", (0, 0))
    (again / "train" / "cat" / "02.png").rename(again / "train" / "cat" / "03.png")
    assert run(again).manifest.digest == digest
    save_image(again / "train" / "cat" / "03.png", 12345)
    assert run(again).manifest.digest != digest


def write(relative: str, content: bytes | str) -> Callable[[Path], object]:
    return lambda folder: (folder / relative).write_bytes(content.encode() if isinstance(content, str) else content)


def truncate(folder: Path) -> None:
    path = folder / "train/cat/00.png"
    path.write_bytes(path.read_bytes()[:-30])


def copy_to_test(folder: Path) -> None:
    # Another file of the same pixels.
    with Image.open(folder / "train/cat/01.png") as image:
        image.save(folder / "test/cat/copy.png", compress_level=0)


def remove_class(folder: Path) -> None:
    for path in (folder / "test/dog").iterdir():
        path.unlink()
    (folder / "test/dog").rmdir()


def empty_split(folder: Path) -> None:
    (folder / "test").rename(folder.parent / "away")
    (folder / "test").mkdir()


def empty_class(folder: Path) -> None:
    for path in (folder / "test/dog").iterdir():
        path.unlink()


BAD: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("text", write("train/cat/00.png", "no image"), ["/train/cat/00.png: is not a PNG or JPEG image, whatever its name says"]),
    ("no bytes", write("train/cat/00.png", b""), ["/train/cat/00.png: is not a PNG or JPEG image"]),
    ("truncated", truncate, ["/train/cat/00.png: cannot be decoded (", "truncated", "replace or remove it"]),
    ("another format", write("train/cat/a.bmp", b"BM"), ["/train/cat/a.bmp: is not a PNG or JPEG file; convert or remove it"]),
    (
        "gif by another name",
        lambda f: Image.new("L", (6, 4)).save(f / "train/cat/a.png", "GIF"),
        ["/train/cat/a.png: is not a PNG or JPEG image"],
    ),
    ("broken link", lambda f: (f / "train/cat/a.png").symlink_to(f / "nowhere"), ["/train/cat/a.png: is a link to nothing"]),
    ("fifo", lambda f: os.mkfifo(f / "train/cat/a.png"), ["/train/cat/a.png: is not a regular file"]),
    ("nested", lambda f: save_image(f / "train/cat/more/a.png", 1), ["/train/cat/more: is a folder within a class; move its images up"]),
    ("no class", lambda f: save_image(f / "a.png", 1), ["/a.png: the image is in no class"]),
    ("no class in a split", lambda f: save_image(f / "train/a.png", 1), ["/train/a.png: the image is in no class"]),
    (
        "another folder",
        lambda f: save_image(f / "extra/cat/a.png", 1),
        ["/extra: is not a split; beside train only train, validation, val, test"],
    ),
    ("both names", lambda f: save_image(f / "val/cat/a.png", 1), ["has both validation and val"]),
    ("empty split", empty_split, ["/test: the split is empty"]),
    ("empty class", empty_class, ["/test/dog: the class has no images"]),
    ("absent class", remove_class, ["class 'dog' has no example in the test split"]),
    ("new class", lambda f: save_image(f / "test/emu/a.png", 1), ["class 'emu' has no example in the train split"]),
    (
        "size",
        lambda f: save_image(f / "test/cat/a.png", 1, size=(6, 5)),
        ["/test/cat/a.png: is 5x6 pixels (height x width)", "4x6", "image_size"],
    ),
    ("leak", copy_to_test, ["/test/cat/copy.png (test) is the same example as", "/train/cat/01.png (train)"]),
    (
        "class name",
        lambda f: (f / "train/cat").rename(f / os.fsdecode(b"train/c\xff")),
        ["/train/c\\xff: a class name needs"],
    ),
    ("file name", lambda f: (f / "train/cat/00.png").rename(f / "train/cat/\n.txt"), ["/train/cat/\\n.txt: is not a PNG or JPEG file"]),
]


@pytest.mark.parametrize(("spoil", "expected"), [pytest.param(spoil, expected, id=name) for name, spoil, expected in BAD])
def test_bad_folders_are_named_with_where(tmp_path: Path, spoil: Callable[[Path], object], expected: list[str]) -> None:
    folder = make_splits(tmp_path / "pets")
    spoil(folder)
    with pytest.raises(DataError) as raised:
        run(folder)
    message = str(raised.value)
    assert message.startswith(str(folder))
    assert message.isprintable()
    assert all(part in message for part in expected), message
    assert [path.name for path in (tmp_path / "root of pets").iterdir()] == [".ingest.lock"]


def test_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no class folders; put images into one folder per class"):
        run(tmp_path)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "vehicles", 20)
    (folder / "cat").rename(folder / "train")
    assert run(folder).manifest.labels == ("dog", "train")
