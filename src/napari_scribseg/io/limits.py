"""Bounds: the size that a header declares against the file and the memory, the size of texts and of packed bytes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.core.paths import check_regular

__all__ = ["available_memory", "check_declared", "human_size", "largest_ratio", "read_text", "unpacked_size"]

_CHUNK = 1 << 20

# Bytes that one stored byte can hold. Deflate: zlib's technical notes, "Maximum Compression Factor"; bzip2: 45 MB of
# zeros take about 40 bytes; text: one digit for a double; PackBits and the run lengths of DICOM: 128 bytes in two; LZW:
# 4096 bytes in 12 bits; JPEG: a bit for a block of 8 x 8 samples, with fewer of the colours, which is 1536 for three of
# them; lossless JPEG: a bit for a sample of 16 bits; JPEG-LS: a bit for a run of 2**15 samples of 16 bits; a fax: a bit
# for a row, as has JBIG; JPEG 2000, LZMA and Zstandard repeat at no cost that could be named.
_LARGEST_RATIO = {
    "raw": 1.0, "deflate": 1032, "bzip2": 1.2e6, "text": 8, "hex": 0.5, "runs": 64, "lzw": 4096 * 8 / 12, "jpeg": 2048,
    "lossless jpeg": 16, "jpeg-ls": 8 * 2**16, "fax": 1 << 18, "other": 1 << 20,
}  # fmt: skip


def human_size(n_bytes: float) -> str:
    """A number of bytes for a message: ``"1.5 GiB"``."""
    if n_bytes < 1024:
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log(n_bytes, 1024)), 4)
    return f"{n_bytes / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def available_memory() -> int:
    """Bytes of memory that can be taken without swapping."""
    import psutil  # slow to import

    return int(psutil.virtual_memory().available)


def largest_ratio(encoding: str) -> float:
    """Bytes that one stored byte can at most hold; ``encoding`` as of :func:`check_declared`."""
    return _LARGEST_RATIO[encoding]


def check_declared(
    path: Path, shape: Sequence[int], voxel_bytes: float, stored: int, *, encoding: str = "raw", copies: float = 1
) -> None:
    """Compare the size that a header declares with the file and with the memory.

    Parameters
    ----------
    path : Path
        Named in the message.
    shape : sequence of int
        Declared sizes of all axes, channels included.
    voxel_bytes : float
        Bytes of one stored element.
    stored : int
        Bytes of pixel data that the file really has, compressed or not.
    encoding : str
        ``"raw"``, ``"deflate"``, ``"bzip2"``, ``"text"``, ``"hex"``, ``"runs"``, ``"lzw"``, ``"jpeg"``,
        ``"lossless jpeg"``, ``"jpeg-ls"``, ``"fax"``, or ``"other"``.
    copies : float
        How many times the declared bytes the reader holds at once; 0 where they stay on the disk.

    Raises
    ------
    InputError
        If an axis is empty or negative, the file is too short for the shape, or the memory is.
    """
    size = "x".join(str(n) for n in shape)
    if not shape or min(shape) < 1:
        raise InputError(
            f"{path.name}: its header declares the shape {size or '()'}; every axis needs at least one voxel"
        )
    needed = math.prod(int(n) for n in shape) * voxel_bytes
    limit = max(stored, 0) * _LARGEST_RATIO[encoding]
    if needed > limit:
        what = "holds" if encoding == "raw" else "can at most hold"
        raise InputError(
            f"{path.name}: its header declares {size} voxels ({human_size(needed)}), but the file {what} "
            f"{human_size(limit)}; it is truncated or its header is damaged"
        )
    memory = available_memory()
    if needed * copies > memory:
        raise InputError(
            f"{path.name}: reading it needs {human_size(needed * copies)} of memory ({size} voxels), but "
            f"{human_size(memory)} is free; crop it, or store it uncompressed as .nii, which stays on the disk"
        )


def read_text(file: Path, most: int, what: str) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    file : Path
        To be read.
    most : int
        Bytes that it may have.
    what : str
        The kind of file that is expected, for the message: ``"class table"``.

    Raises
    ------
    InputError
        If it is missing, no regular file, too long, or no text.
    """
    try:
        check_regular(file)
        if file.stat().st_size > most:
            raise InputError(f"{file.name}: it has {file.stat().st_size} bytes; that is no {what}")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name}: it is not UTF-8 text; save the {what} as UTF-8") from error
    if "\0" in text:
        raise InputError(f"{file.name}: it holds the character NUL, which no text does; it is damaged or no {what}")
    return text


def unpacked_size(parts: Iterable[bytes], most: int) -> int:
    """How many bytes the parts of a stream of zlib or gzip unpack to; counting ends at ``most``."""
    packed, count = zlib.decompressobj(32 + zlib.MAX_WBITS), 0  # with the header of either
    for part in parts:
        while part and count < most and not packed.eof:
            count += len(packed.decompress(part, _CHUNK))
            part = packed.unconsumed_tail
        if count >= most or packed.eof:
            break
    return count
