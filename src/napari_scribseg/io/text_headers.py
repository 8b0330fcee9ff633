"""Text headers of NRRD and MetaImage, checked before any memory is taken."""

from __future__ import annotations

import re
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.limits import check_declared

__all__ = ["MOST_HEADER", "axis_sizes", "check_header", "header_line", "whole_number"]

MOST_HEADER = 16 << 20  # bytes


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
    """A whole number of a field, ``least`` at the least."""
    if not re.fullmatch(r"-?\d{1,18}", text.strip()) or int(text) < least:
        raise InputError(
            f"{path.name}: its header declares the {field} {text[:80]!r}; a whole number from {least} is expected"
        )
    return int(text)


def check_header(path: Path, shape: tuple[int, ...], voxel_bytes: int, stored: int, encoding: str) -> None:
    """Compare what a header declares with the bytes of voxels stored; library and array hold a copy each."""
    check_declared(path, shape, voxel_bytes, max(stored, 0), encoding=encoding, copies=2)
