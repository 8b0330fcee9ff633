"""The voxels of a label volume as bytes, x running fastest."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["GZIP", "ZLIB", "compressed", "digest", "packed"]

ZLIB = zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS  # with a gzip header, in zlib's numbers
_CHUNK = 16 << 20


def digest(labels: NDArray[Any]) -> str:
    """Ten digits that are the same for the same voxels only."""
    found = hashlib.blake2b(f"{labels.dtype} {labels.shape}".encode(), digest_size=5)
    for part in _parts(labels):
        found.update(part)
    return found.hexdigest()


def packed(labels: NDArray[Any], header: int) -> Iterator[bytes]:
    """The voxels compressed."""
    packer = zlib.compressobj(4, zlib.DEFLATED, header)
    for part in _parts(labels):
        yield packer.compress(part)
    yield packer.flush()


def compressed(labels: NDArray[Any], header: str = "") -> Callable[[BinaryIO], None]:
    """What writes a text header and the voxels, compressed with gzip, into an open file."""

    def write(file: BinaryIO) -> None:
        file.write(header.encode())
        for part in packed(labels, GZIP):
            file.write(part)

    return write


def _parts(labels: NDArray[Any]) -> Iterator[memoryview]:
    """The voxels, x running fastest, part by part: a transposed view is never copied whole."""
    for part in np.nditer(labels, flags=["external_loop", "buffered", "zerosize_ok"], order="C", buffersize=_CHUNK):
        yield np.ascontiguousarray(part).data
