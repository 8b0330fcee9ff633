"""Text headers, grids in LPS and packed voxels, for NRRD and MetaImage."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.core.geometry import LPS_TO_RAS
from napari_scribseg.io.formats import LABEL_MARK
from napari_scribseg.io.units import LengthUnit

__all__ = [
    "GZIP",
    "MOST_HEADER",
    "ZLIB",
    "LpsGrid",
    "axis_sizes",
    "compressed",
    "digest",
    "header_line",
    "label_axes",
    "lps_grid",
    "packed",
    "whole_number",
]

MOST_HEADER = 16 << 20  # bytes
ZLIB = zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS  # with a gzip header, in zlib's numbers
_HEAD = 1 << 12
_CHUNK = 16 << 20


def header_line(path: Path, raw: bytes) -> str:
    """A line of a header without its end; bytes that end a line or a text for one library only are refused."""
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line):
        raise InputError(f"{path.name}: its header holds control characters in {line[:40]!r}; it is damaged")
    return line.decode("utf-8", errors="replace")


def axis_sizes(path: Path, field: str, text: str | None) -> tuple[int, ...]:
    """Sizes of 2 to 5 axes: four, and the list or the channels of an NRRD file."""
    words = (text or "").split()
    if not words or not all(re.fullmatch(r"-?\d{1,18}", word) for word in words):
        shown = text if text is None else text[:80]
        raise InputError(f"{path.name}: its header declares the {field} {shown!r}; whole numbers are expected")
    if not 2 <= len(words) <= 5:
        raise InputError(f"{path.name}: it has {len(words)} axes; 2 to 4 are expected")
    return tuple(map(int, words))


def whole_number(path: Path, field: str, text: str, *, least: int = 0) -> int:
    """The value of a field that holds a whole number from ``least``."""
    if not re.fullmatch(r"-?\d{1,18}", text.strip()) or int(text) < least:
        raise InputError(
            f"{path.name}: its header declares the {field} {text[:80]!r}; a whole number from {least} is expected"
        )
    return int(text)


def label_axes(path: Path) -> str | None:
    """The axes that a header of NRRD or MetaImage says its labels have, as those written here do; else None."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    match = re.search(rf"^(?:content: |Comment = ){LABEL_MARK} ([TZYX]{{2,4}})\r?$".encode(), head, re.MULTILINE)
    return match[1].decode() if match else None


@dataclass(frozen=True, slots=True)
class LpsGrid:
    """A grid in file order (x, y[, z[, t]]) and LPS: sizes, the step along each axis as columns, the first voxel.

    ``unit`` names the unit of length where it is not the millimetre.
    """

    size: tuple[int, ...]
    steps: NDArray[np.float64]
    origin: NDArray[np.float64]
    unit: str = ""


def lps_grid(geometry: Geometry, *, flat: bool, units: tuple[str, ...] | None) -> LpsGrid:
    """The grid in LPS; a 2D array stays 2D where that is allowed and it lies at z = 0.

    It is in the unit of the file that was read, if that is one of ``units``: programs that ignore units then show
    image and labels at the same position.
    """
    n = len(geometry.shape)
    affine = np.eye(4)
    if geometry.affine is not None:
        affine = LPS_TO_RAS @ geometry.affine[:, [2, 1, 0, 3]] + 0.0
    else:
        steps = geometry.spacing[::-1][:3]
        affine[range(len(steps)), range(len(steps))] = steps
    unit, reference = "", geometry.reference
    if isinstance(reference, LengthUnit) and (units is None or reference.name in units):
        unit = reference.name
        affine[:3] /= reference.millimetres
    size = geometry.shape[::-1]
    if n == 2:
        at_zero = not affine[2, [0, 1, 3]].any()
        n = 2 if flat and at_zero else 3
        size = size if n == 2 else (*size, 1)
    if n < 4:
        return LpsGrid(size, affine[:n, :n], affine[:n, 3], unit)
    steps4 = np.zeros((4, 4))
    steps4[:3, :3] = affine[:3, :3]
    steps4[3, 3] = geometry.spacing[0]
    return LpsGrid(size, steps4, np.append(affine[:3, 3], 0.0), unit)


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
    """A function that writes a text header and the voxels, compressed with gzip, into an open file."""

    def write(file: BinaryIO) -> None:
        file.write(header.encode())
        for part in packed(labels, GZIP):
            file.write(part)

    return write


def _parts(labels: NDArray[Any]) -> Iterator[memoryview]:
    """The voxels, x running fastest, part by part: a transposed view is never copied whole."""
    for part in np.nditer(labels, flags=["external_loop", "buffered", "zerosize_ok"], order="C", buffersize=_CHUNK):
        yield np.ascontiguousarray(part).data
