"""PNG and JPEG: pixels without a size."""

from __future__ import annotations

import os
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.io.formats import ReadOptions, stem
from napari_scribseg.io.limits import check_declared, unpacked_size

__all__ = ["read_picture"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type of PNG
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_LIMIT = threading.Lock()  # Pillow's is one for all threads


def read_picture(path: Path, options: ReadOptions) -> Source:
    """Read a PNG or JPEG file: grey, or red, green and blue; a palette is resolved, transparency is dropped.

    A warning names each declaration in the file that is not followed.

    Parameters and returns as of :attr:`Format.read <napari_scribseg.io.formats.Format>`. Ids are the stored
    numbers of a palette or of few bits.

    Raises
    ------
    InputError
        If the file is damaged, or too large for the memory.
    """
    try:
        with _opened(path) as picture:
            n = len(picture.getbands())
            size, encoding = path.stat().st_size, "deflate" if picture.format == "PNG" else "jpeg"
            bits = 1 if picture.mode == "1" or picture.format == "PNG" else 8
            check_declared(
                path, (picture.height, picture.width, n), bits / 8, size, encoding=encoding, copies=32 / bits
            )
            depth = _check_png(path) if picture.format == "PNG" else 8
            _warn_of_ignored(path, picture, ids=options.ids)
            read = _ids if options.ids else _pixels
            array = _deep(path) if depth == 16 and n > 1 else read(picture, depth)
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, RuntimeError, UnidentifiedImageError, zlib.error) as error:
        raise InputError(f"{path.name}: it cannot be read as PNG or JPEG, it is damaged or truncated") from error
    colours = array.ndim == 3
    return Source(array, Geometry(array.shape[:2], (1.0, 1.0)), stem(path), colours, rgb=colours)


def _opened(path: Path) -> Pillow.Image:
    """Open pictures of every size: it is compared with the memory and the file here, not with Pillow's limit."""
    with _LIMIT, warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            return Pillow.open(path, formats=("PNG", "JPEG"))
        finally:
            Pillow.MAX_IMAGE_PIXELS = before


def _check_png(path: Path) -> int:
    """Compare the rows that a PNG holds with those that it declares, which Pillow fills with zeros; its bit depth."""
    with path.open("rb") as file:
        if file.read(8) != _SIGNATURE:
            raise InputError(f"{path.name}: it does not begin as a PNG file does")
        head = next((data for kind, data in _chunks(file) if kind == b"IHDR"), b"")
        if len(head) < 13 or head[9] not in _SAMPLES:
            raise InputError(f"{path.name}: it cannot be read as PNG or JPEG, it is damaged or truncated")
        width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
        bits = head[8] * _SAMPLES[head[9]]
        passes = _ADAM7 if head[12] else ((0, 0, 1, 1),)
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
        declared = sum(h * (1 + -(-w * bits // 8)) for w, h in sizes if w > 0 and h > 0)
        if unpacked_size((data for kind, data in _chunks(file) if kind == b"IDAT"), declared) < declared:
            raise InputError(
                f"{path.name}: its header declares {width}x{height} pixels, but it holds fewer; it is damaged "
                "or truncated"
            )
    return head[8]


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    size = os.fstat(file.fileno()).st_size  # reading allocates what is requested, whatever is there
    while len(start := file.read(8)) == 8:
        length = int.from_bytes(start[:4], "big")
        data = file.read(length) if length <= size - file.tell() else b""
        if len(data) < length:
            return
        file.seek(4, 1)
        yield start[4:], data


def _warn_of_ignored(path: Path, picture: Pillow.Image, *, ids: bool) -> None:
    """Warn of declarations in the file that are not followed."""
    ignored = []
    if getattr(picture, "n_frames", 1) > 1:
        ignored.append(f"it holds {getattr(picture, 'n_frames', 1)} pictures; the first is read, the others are not")
    if picture.getexif().get(0x0112, 1) not in (0, 1):
        ignored.append(
            "it says that it is to be turned for display; its pixels stay where they are, and so do labels on them"
        )
    alpha = picture.getchannel("A").getextrema()[0] if "A" in picture.getbands() else 255
    if alpha != 255 or "transparency" in picture.info:
        ignored.append("it is transparent in parts; all of its pixels are read as if they were not")
    if ids and picture.format != "PNG":
        ignored.append("JPEG changes the values of pixels, so ids may be wrong; PNG keeps them")
    for what in ignored:
        warnings.warn(f"{path.name}: {what}", UserWarning, stacklevel=4)


def _pixels(picture: Pillow.Image, _depth: int) -> NDArray[Any]:
    if picture.mode.startswith("I") or picture.mode in ("L", "F"):
        array = np.asarray(picture)
        if picture.mode == "I" and array.min() >= 0 and array.max() <= 65535:
            array = array.astype(np.uint16)  # how older Pillows open 16 bits
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode == "LA":
        return np.asarray(picture)[..., 0]
    return np.asarray(picture.convert("RGB"))


def _ids(picture: Pillow.Image, depth: int) -> NDArray[Any]:
    """Numbers as they are stored: those of a palette, and of 2 or 4 bits, which Pillow stretches to 8."""
    if picture.mode in ("P", "PA"):
        return np.asarray(picture.getchannel("P") if picture.mode == "PA" else picture)
    array = _pixels(picture, depth)
    return array // (255 // (2**depth - 1)) if picture.mode == "L" and depth in (2, 4) else array


def _deep(path: Path) -> NDArray[Any]:
    """Colours, or grey with transparency, of 16 bits, of which Pillow keeps 8."""
    import imagecodecs

    array: NDArray[Any] = imagecodecs.png_decode(path.read_bytes())
    return array[..., 0] if array.shape[-1] == 2 else array[..., :3]
