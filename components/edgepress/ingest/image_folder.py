"""A folder of images per class, PNG or JPEG.

    <class>/*.png                               EdgePress takes validation and test out of all images
    train/<class>/*.png, test/<class>/*.png     given splits; a missing validation (also called val) or test is taken out of train

* The folder's name is the class name; classes are numbered in the order of their names, images are read in the order of theirs.
* Grayscale or colour: [h, w, 1] when every image of the source is stored as grayscale, [h, w, 3] as soon as one is not (a palette counts as
  colour). Transparency is ignored, 16-bit grayscale is reduced to 8 bits, and a camera's orientation tag is obeyed.
* ``dataset.image_size`` [height, width] stretches every image to that size (bilinear, antialiased); without it all must have one size.
* Hidden files, ``Thumbs.db`` and ``desktop.ini`` are passed over; so are plain files beside the class folders, such as a README. Links are
  followed. Anything else that is not an image is named and refused, so that no example is left out without a word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.contracts.config import DatasetSettings
from edgepress.contracts.dataset import SplitName
from edgepress.errors import DataError
from edgepress.ingest.content import Examples, SourceContent
from edgepress.ingest.images import IMAGE_SUFFIXES, decode_images, has_colour, printable
from edgepress.ingest.labels import normal_first

SPLIT_FOLDERS: dict[str, SplitName] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
PASSED_OVER = frozenset({"Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class _ImageFile:
    relative: str
    class_name: str


def read_image_folder(path: Path, source: str, settings: DatasetSettings, scratch: Path) -> SourceContent:
    """Read a folder of images: one input ``image``, uint8 pixels, decoded into ``scratch`` and memory-mapped from there.

    Raises:
        DataError: the folders are not as described above, or an image cannot be read or has another size than the rest.
    """
    try:
        splits = _list_splits(path, source)
    except OSError as error:
        raise DataError(f"{source}: {error.filename} cannot be listed ({error.strerror}); check its permissions") from error
    task = settings.learning_task
    if task.name == "regression":
        raise DataError(f"{source}: folders name classes, which a regression has none of; give a .npz file, or drop dataset.task")
    labels = tuple(sorted({image.class_name for images in splits.values() for image in images}))
    if task.name == "anomaly_detection":
        labels, _ = normal_first(labels, {}, source)
    index = {name: number for number, name in enumerate(labels)}
    colour = has_colour(path, [image.relative for images in splits.values() for image in images], source)
    given = {}
    size = settings.image_size
    for split, images in splits.items():
        files = [image.relative for image in images]
        pixels = decode_images(path, files, source, colour=colour, size=size, output=scratch / f"{split}.npy")
        if size is None:
            size = (pixels.shape[1], pixels.shape[2])
        given[split] = Examples(
            inputs={"image": pixels},
            labels=np.array([index[image.class_name] for image in images], dtype=np.int64),
            where=_naming(source, files),
            slices={},
        )
    return SourceContent(name=path.resolve().name, labels=labels, given=given)


def _list_splits(root: Path, source: str) -> dict[SplitName, list[_ImageFile]]:
    folders = _subfolders(root, "", source)
    if "train" not in folders or not any(entry.is_dir() for entry in (root / "train").iterdir()):
        return {"train": _list_classes(root, folders, "", source)}
    splits: dict[SplitName, list[_ImageFile]] = {}
    for folder in folders:
        split = SPLIT_FOLDERS.get(folder)
        if split is None:
            raise DataError(f"{source}/{printable(folder)}: is not a split; beside train only {', '.join(SPLIT_FOLDERS)} may stand")
        if split in splits:
            raise DataError(f"{source}: has both validation and val; keep one")
        classes = _subfolders(root / folder, f"{folder}/", source)
        if not classes:
            raise DataError(f"{source}/{folder}: the split is empty; put a folder of images per class there, or remove it")
        splits[split] = _list_classes(root, classes, f"{folder}/", source)
    return splits


def _subfolders(folder: Path, prefix: str, source: str) -> list[str]:
    """Names of the folders in a folder that holds folders. An image there belongs to no class, and is refused."""
    names = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if _is_passed_over(entry.name):
            continue
        if entry.is_dir():
            names.append(entry.name)
        elif entry.suffix.lower() in IMAGE_SUFFIXES:
            raise DataError(
                f"{source}/{prefix}{printable(entry.name)}: the image is in no class; move it into a folder named after its class"
            )
    return names


def _list_classes(root: Path, classes: list[str], prefix: str, source: str) -> list[_ImageFile]:
    images: list[_ImageFile] = []
    for class_name in classes:
        shown = f"{source}/{prefix}{printable(class_name)}"
        if printable(class_name) != class_name:
            raise DataError(f"{shown}: a class name needs printable UTF-8 characters; rename the folder")
        found = _list_images(root, f"{prefix}{class_name}", shown)
        if not found:
            raise DataError(f"{shown}: the class has no images; add PNG or JPEG files, or remove the folder")
        images += [_ImageFile(relative=name, class_name=class_name) for name in found]
    if not images:
        raise DataError(f"{source}: has no class folders; put images into one folder per class, such as {source}/cat/1.png")
    return images


def _list_images(root: Path, folder: str, shown: str) -> list[str]:
    names = []
    for entry in sorted((root / folder).iterdir(), key=lambda entry: entry.name):
        if _is_passed_over(entry.name):
            continue
        named = f"{shown}/{printable(entry.name)}"
        if entry.is_dir():
            raise DataError(f"{named}: is a folder within a class; move its images up")
        if entry.suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{named}: is not a PNG or JPEG file; convert or remove it")
        if not entry.is_file():
            problem = "is a link to nothing" if entry.is_symlink() else "is not a regular file"
            raise DataError(f"{named}: {problem}; remove it")
        names.append(f"{folder}/{entry.name}")
    return names


def _naming(source: str, files: list[str]) -> Callable[[int], str]:
    return lambda index: f"{source}/{printable(files[index])}"


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in PASSED_OVER
