"""The IDX format of the MNIST family, gzipped, unsigned bytes only.

Header: two zero bytes, the type (0x08: unsigned byte), the number of dimensions, then each dimension as a big-endian uint32.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepress.errors import DataError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes with so many dimensions.

    Raises:
        DataError: the file is not one, or is damaged.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as gzip ({error}); fetch it again") from error
    header_bytes = 4 + 4 * dimensions
    if len(content) < header_bytes or content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DataError(f"{path}: is not an IDX file of unsigned bytes with {dimensions} dimensions; fetch it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header_bytes])
    if len(content) - header_bytes != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: holds {len(content) - header_bytes:,} bytes of data, but its header says {list(shape)}; fetch it again")
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)
