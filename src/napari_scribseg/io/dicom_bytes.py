"""Checks of the bytes of a DICOM file before a library reads it."""

from __future__ import annotations

import math
from pathlib import Path

from napari_scribseg.io.limits import largest_ratio

__all__ = ["has_pixel_size", "is_cut_off", "is_image", "may_be_dicom"]

_SUFFIXES = ("", ".dcm", ".ima", ".dicom", ".img")
_ROWS = b"\x28\x00\x10\x00"
_PIXELS = b"\xe0\x7f\x10\x00"
_HEAD = 1 << 20
_SYNTAX = b"\x02\x00\x10\x00UI"
_UID = "1.2.840.10008.1.2"
_ENCODINGS = {
    **dict.fromkeys(("", ".1", ".2"), "raw"),
    ".1.99": "deflate",
    ".5": "runs",
    **dict.fromkeys((".4.50", ".4.51", ".4.53", ".4.55"), "jpeg"),
    **dict.fromkeys((".4.57", ".4.70"), "lossless jpeg"),
    **dict.fromkeys((".4.80", ".4.81"), "jpeg-ls"),
}
_SIZES = tuple(  # pixel spacing, imager pixel spacing, nominal scanned pixel spacing, physical delta of ultrasound
    bytes.fromhex(tag) for tag in ("28003000", "18006411", "18001020", "18002c60")
)


def may_be_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does: with its mark, or as the oldest files do, with group 2 or 8."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or (path.suffix.lower() in _SUFFIXES and head[:2] in (b"\x02\x00", b"\x08\x00"))


def is_image(path: Path) -> bool:
    """Whether a file that no library can read declares rows, as an image does and a report or a directory does not."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    # The tag is followed by the value's type or, where types are implicit, its length.
    return _ROWS + b"US" in head or _ROWS + b"\x02\x00\x00\x00" in head


def has_pixel_size(path: Path) -> bool:
    """Whether a little-endian file has one of the elements that say how large a pixel is, in a sequence or not."""
    with path.open("rb") as file:
        head = file.read(_HEAD).partition(_PIXELS)[0]
    return any(tag in head for tag in _SIZES)


def is_cut_off(path: Path, pixel_bytes: int) -> bool:
    """Whether a file ends before its pixels do; GDCM before 3.2 fills the rest with whatever is there.

    For compressed pixels, only the largest possible number is compared.

    Parameters
    ----------
    path : Path
        A DICOM file.
    pixel_bytes : int
        What rows, columns, samples, bits and frames make.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    size = path.stat().st_size
    if pixel_bytes > size * largest_ratio(_encoding(head)):
        return True
    for length in (pixel_bytes, pixel_bytes + pixel_bytes % 2):
        declared = length.to_bytes(4, "little")
        for start in (b"OW\x00\x00", b"OB\x00\x00", b""):
            position = head.find(_PIXELS + start + declared)
            if position >= 0 and position + len(_PIXELS + start + declared) + pixel_bytes > size:
                return True
    return _declared_pixels(head, size) < pixel_bytes


def _declared_pixels(head: bytes, size: int) -> float:
    """Bytes that the pixels' element at the end of the file says it has; infinite where there is none such."""
    position = head.find(_PIXELS)
    after = head[position + len(_PIXELS) :][:8]
    explicit = after[:4] in (b"OW\x00\x00", b"OB\x00\x00")
    length = int.from_bytes(after[4:] if explicit else after[:4], "little")
    at_the_end = position >= 0 and position + len(_PIXELS) + (8 if explicit else 4) + length == size
    return length if at_the_end else math.inf


def _encoding(head: bytes) -> str:
    """How the pixels are stored, by the transfer syntax in the file's first group; raw where it has none."""
    position = head.find(_SYNTAX)
    if position < 0:
        return "raw"
    start = position + len(_SYNTAX) + 2
    uid = head[start : start + int.from_bytes(head[start - 2 : start], "little")].rstrip(b"\0 ").decode("latin-1")
    return _ENCODINGS.get(uid.removeprefix(_UID), "other") if uid.startswith(_UID) else "other"
