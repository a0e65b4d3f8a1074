"""Decoding of PNG and JPEG files into one uint8 array on disk."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import DataError, one_line
from edgepress.ingest.write import ArrayFile

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
GRAYSCALE_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes for grayscale PNG and JPEG files; ``I`` is how some versions open 16-bit PNG."""

FORMATS = ("PNG", "JPEG")
REDUCING_GAP = 2
"""A JPEG may be decoded at a half, quarter or eighth of its size as long as it stays this many times larger than asked for; Pillow's own
thumbnails use the same factor ("close to fair resampling"). It makes photographs several times faster to read."""


def has_colour(root: Path, files: list[str], source: str) -> bool:
    """Whether any image is stored in colour. Reads headers, only as far as the first one in colour.

    Raises:
        DataError: a file is not an image.
    """
    return any(_open(root, name, source).mode not in GRAYSCALE_MODES for name in files)


def decode_images(
    root: Path, files: list[str], source: str, *, colour: bool, size: tuple[int, int] | None, output: Path
) -> NDArray[np.uint8]:
    """Decode images, one after the other, into ``output``: uint8 [n, height, width, 3 if colour else 1], mapped read-only.

    Decoding holds Python's global lock, so threads would not make it faster.

    Raises:
        DataError: an image cannot be decoded, or, without ``size``, has another size than the first.
        OSError: the disk is full.
    """
    pixels = _decode(root, files[0], source, colour, size)
    with ArrayFile(output, np.dtype(np.uint8), (len(files), *pixels.shape)) as array:
        array.write(pixels)
        for name in files[1:]:
            following = _decode(root, name, source, colour, size)
            if following.shape != pixels.shape:
                here, first = (f"{shape[0]}x{shape[1]}" for shape in (following.shape, pixels.shape))
                raise DataError(
                    f"{source}/{printable(name)}: is {here} pixels (height x width), but {printable(files[0])} is {first}; "
                    "set dataset.image_size to bring all to one size"
                )
            array.write(following)
    mapped: NDArray[np.uint8] = np.load(output, mmap_mode="r", allow_pickle=False)
    return mapped


def _open(root: Path, name: str, source: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(root / name, formats=FORMATS) as image:
            return image
    except UnidentifiedImageError as error:
        raise DataError(f"{source}/{printable(name)}: is not a PNG or JPEG image, whatever its name says; replace or remove it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(source, name, error) from error


def _decode(root: Path, name: str, source: str, colour: bool, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """One image: uint8 [height, width, channels]."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    mode = "RGB" if colour else "L"
    try:
        with Image.open(root / name, formats=FORMATS) as image:
            if size is not None:
                # Both sides: the orientation tag may still swap them.
                longest = REDUCING_GAP * max(size)
                image.draft(None, (longest, longest))
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                # Pillow would clip 16-bit values at 255 instead of scaling them.
                upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8))
            converted = upright.convert(mode)
            if size is not None and converted.size != (size[1], size[0]):
                converted = converted.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(converted, dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise DataError(f"{source}/{printable(name)}: is not a PNG or JPEG image, whatever its name says; replace or remove it") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise _unreadable(source, name, error) from error
    return pixels.reshape(*pixels.shape[:2], 3 if colour else 1)


def _unreadable(source: str, name: str, error: BaseException) -> DataError:
    reason = one_line(error) or type(error).__name__
    return DataError(f"{source}/{printable(name)}: cannot be decoded ({reason}); replace or remove it")


def printable(name: str) -> str:
    """A file name fit for one line of text: what is not printable, or not UTF-8, is escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
