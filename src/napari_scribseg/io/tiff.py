"""TIFF (stacks, ImageJ, OME): voxel sizes, without position and directions."""

from __future__ import annotations

import logging
import math
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.io.atomic import Contents
from napari_scribseg.io.data_files import data_files
from napari_scribseg.io.formats import LABEL_MARK, ReadOptions, extension, stem
from napari_scribseg.io.limits import check_declared, largest_ratio
from napari_scribseg.io.units import in_seconds, length_or_warn

__all__ = ["holds_labels", "read_tiff", "tiff_label_files"]

_RESOLUTION_UNITS = {3: "cm", 4: "mm", 5: "um"}  # of the tag; 2 is the inch: dots per inch are about printing
_IMAGEJ_UNITS = ("unit", "yunit", "zunit")
_COLOURS = ("RGB", "YCBCR")  # photometric interpretations that tifffile gives as red, green and blue
_ENCODINGS = {
    1: "raw", 2: "fax", 3: "fax", 4: "fax", 5: "lzw", 6: "jpeg", 7: "jpeg", 8: "deflate", 32773: "runs",
    32946: "deflate",
}  # fmt: skip
_OPACITY = (1, 2)  # kinds of a fourth sample


def read_tiff(path: Path, options: ReadOptions) -> Source:
    """Read the first series of a TIFF file; images of one size that follow each other are slices.

    Pixel sizes come from the metadata of OME or ImageJ, else from the resolution where its unit is a length. A warning
    names each declaration in the file that is not followed.

    Parameters and returns as of :attr:`Format.read <napari_scribseg.io.formats.Format>`.

    Raises
    ------
    InputError
        If the file is no TIFF, is truncated, declares more than fits the memory, or has axes other than time, z, y, x
        and channels.
    """
    try:
        with _log_as_warnings(path), tifffile.TiffFile(path) as file:
            _check_pages(path, file)
            _check_other_files(path, file, allow_outside=options.allow_outside)
            series = _chosen(path, file)
            _check_tiff(path, file, series)
            array, axes, palette = _values(series, ids=options.ids or file.is_imagej)
            _warn_of_ignored(path, file)
            sizes = _pixel_sizes(path, file)
            rgb = palette or _is_rgb(series[0])
            own = _label_axes(file)
            return replace(_arranged(path, array, axes, sizes, own or "YX"), rgb=rgb)
    except InputError:
        raise
    except Exception as error:  # every codec and every broken tag has an error type of its own
        if "imagecodecs" in str(error):
            raise InputError(
                f"{path.name}: its pixels are compressed in a way that needs the package imagecodecs; "
                "pip install imagecodecs"
            ) from error
        raise InputError(f"{path.name}: it cannot be read as TIFF, it is damaged or truncated ({error})") from error


def _check_other_files(path: Path, file: tifffile.TiffFile, *, allow_outside: bool) -> None:
    """Check the other files that an OME-TIFF names as data files are checked; tifffile warns of a missing one."""
    if file.ome_metadata:
        tree = ET.fromstring(file.ome_metadata)  # noqa: S314 - tifffile has parsed it already
        named = [element.get("FileName") for element in tree.iter()]
        data_files(path, [path.name, *filter(None, named)], allow_outside=allow_outside, may_be_missing=True)


def _is_rgb(series: tifffile.TiffPageSeries) -> bool:
    """Whether the samples of a pixel are colours; channels (C) never are, and a fourth sample must be an opacity."""
    page: Any = series.keyframe
    samples = series.shape[series.axes.index("S")] if "S" in series.axes else 0
    opacity = len(page.extrasamples) == 1 and page.extrasamples[0] in _OPACITY
    return getattr(page.photometric, "name", "") in _COLOURS and (samples == 3 or (samples == 4 and opacity))


@contextmanager
def _log_as_warnings(path: Path) -> Iterator[None]:
    """Turn tifffile's log into warnings: of missing files and of declarations that are not followed."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == thread)
    log = logging.getLogger("tifffile")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    for message in dict.fromkeys(messages):
        text = re.sub(r"^<[\w. ]*tifffile[^>]*> ", "", " ".join(message.split()))
        warnings.warn(f"{path.name}: {text[:200]}", UserWarning, stacklevel=4)


def holds_labels(path: Path) -> bool:
    """Whether a file has the mark of our own label files.

    Raises
    ------
    InputError
        If it cannot be read as TIFF.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return _label_axes(file) is not None
    except Exception as error:  # as in read_tiff
        raise InputError(f"{path.name}: it cannot be read as TIFF, it is damaged or truncated ({error})") from error


def _label_axes(file: tifffile.TiffFile) -> str | None:
    """The axes that one of our own label files says it has, such as ``"ZYX"``; None for every other file."""
    match = re.fullmatch(rf"{LABEL_MARK} ([TZYX]{{2,4}})", file.pages.first.software) if len(file.pages) else None
    return match[1] if match else None


def _chosen(path: Path, file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The series to read: the first, or all where they are slices of one size that were written one by one."""
    series = list(file.series)
    if not series:
        raise InputError(f"{path.name}: it holds no image")
    kinds = {(s.kind, s.shape, s.axes, s.dtype) for s in series}
    first = series[0]
    if len(series) > 1 and len(kinds) == 1 and first.kind in ("shaped", "generic", "uniform") and len(first.shape) == 2:
        return series
    if len(series) > 1:
        sizes = ", ".join("x".join(map(str, s.shape)) for s in series[1:4]) + (", ..." if len(series) > 4 else "")
        warnings.warn(
            f"{path.name}: it holds {len(series)} images; the first, of {'x'.join(map(str, first.shape))}, is read, "
            f"the others ({sizes}) are not",
            UserWarning,
            stacklevel=4,
        )
    return [first]


def _values(series: list[tifffile.TiffPageSeries], *, ids: bool) -> tuple[NDArray[Any], str, bool]:
    """The pixels and their axes, those of length one included, and whether they are the colours of a palette."""
    first = series[0]
    if len(series) > 1:
        array, axes = np.stack([s.asarray() for s in series]), f"Z{first.axes}"
    else:
        array, axes = first.asarray().reshape(first.get_shape(squeeze=False)), first.get_axes(squeeze=False)
    page = first.keyframe
    if page.photometric == 3 and page.colormap is not None and not ids:
        colors = (page.colormap >> 8).astype(np.uint8).T
        shape = [n for a, n in enumerate(array.shape) if axes[a] != "S"]
        return colors[array.reshape(shape)], f"{axes.replace('S', '')}S", True
    return array, axes, False


def _warn_of_ignored(path: Path, file: tifffile.TiffFile) -> None:
    """Warn of declarations on the first page that are not followed."""
    page = file.pages.first
    ignored = []
    if page.photometric == 0:
        ignored.append("that 0 is white; the values are those of the file")
    if 274 in page.tags and page.tags[274].value not in (0, 1):
        ignored.append("that it is to be turned for display; its pixels stay where they are, and so do labels on them")
    for what in ignored:
        warnings.warn(f"{path.name}: it says {what}", UserWarning, stacklevel=4)


def _check_tiff(path: Path, file: tifffile.TiffFile, series: list[tifffile.TiffPageSeries]) -> None:
    pages: list[Any] = [page for one in series for page in one.pages if page is not None]
    compressions = {int(page.keyframe.compression) for page in pages}
    raw = compressions <= {1}
    encoding = max((_ENCODINGS.get(code, "other") for code in compressions), key=largest_ratio, default="raw")
    stored = sum(sum(page.databytecounts) for page in pages)
    first = series[0]
    if first.dataoffset is not None and len(series) == 1:  # one block, as ImageJ has it beyond 4 GiB
        stored = file.filehandle.size - first.dataoffset
    elif any(
        offset + count > file.filehandle.size
        for page in pages
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ):
        raise InputError(f"{path.name}: its pixels reach beyond the end of the file; it is truncated")
    shape = first.shape if len(series) == 1 else (len(series), *first.shape)
    bits = first.keyframe.bitspersample if raw else 8 * first.dtype.itemsize  # 1 or 12 bits lie side by side
    copies = 8 * first.dtype.itemsize / bits
    check_declared(path, shape, bits / 8, stored, encoding=encoding, copies=copies)


def _check_pages(path: Path, file: tifffile.TiffFile) -> None:
    """Follow the chain of pages: tifffile leaves out those beyond the end of a file, and may go in circles."""
    handle, form = file.filehandle, file.tiff
    seen: set[int] = set()
    position = form.offsetsize if form.offsetsize == 8 else 4  # of the first page's offset, in BigTIFF and TIFF
    while True:
        handle.seek(position)
        word = handle.read(form.offsetsize)
        offset = int.from_bytes(word, "little" if form.byteorder == "<" else "big")
        if offset == 0 and len(word) == form.offsetsize:
            return
        handle.seek(offset)
        count = handle.read(form.tagnosize)
        if len(count) < form.tagnosize or offset in seen:
            raise InputError(
                f"{path.name}: its list of pages leads beyond its end or in circles; it is truncated or damaged"
            )
        seen.add(offset)
        tags = int.from_bytes(count, "little" if form.byteorder == "<" else "big")
        position = offset + form.tagnosize + tags * form.tagsize


def _arranged(path: Path, array: NDArray[Any], axes: str, sizes: dict[str, float], always: str) -> Source:
    """Axes in the order t, z, y, x, channels; an unknown one counts as z.

    Axes of length one are left out, but for the axes ``always``.
    """
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path.name}: it holds {array.dtype} values; real numbers are expected")
    if len(axes) != array.ndim:
        raise InputError(f"{path.name}: it declares the axes {axes}, but has {array.ndim}; one letter each is expected")
    keep = [a for a, n in zip(axes, array.shape, strict=True) if n > 1 or a in always]
    array = array.reshape([n for a, n in zip(axes, array.shape, strict=True) if n > 1 or a in always])
    for unknown in "QIR":
        if unknown in keep and "Z" not in keep:
            keep[keep.index(unknown)] = "Z"
    if "S" in keep and "C" in keep:
        raise InputError(f"{path.name}: it has colours in several channels (axes {axes}); one of the two is expected")
    keep = ["C" if a == "S" else a for a in keep]
    wanted = [a for a in "TZYXC" if a in keep]
    if sorted(keep) != sorted(wanted) or not {"Y", "X"} <= set(keep):
        raise InputError(
            f"{path.name}: it has the axes {axes} with the sizes {'x'.join(map(str, array.shape))}; time (T), "
            "slices (Z), rows (Y), columns (X) and channels (C or S) are expected"
        )
    array = array.transpose([keep.index(a) for a in wanted])
    if "T" in wanted and "Z" not in wanted:  # time and z are axes of their own
        array, wanted = np.expand_dims(array, 1), ["T", "Z", *wanted[1:]]
    channels = "C" in wanted
    shape = array.shape[:-1] if channels else array.shape
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return Source(array, _plain_geometry(shape, wanted, sizes), stem(path), channels)


def _plain_geometry(shape: tuple[int, ...], axes: list[str], sizes: dict[str, float]) -> Geometry:
    """Pixel sizes in millimetres where the file has them; no affine."""
    spatial = [a for a in axes if a != "C"]
    if "X" not in sizes or "Y" not in sizes:
        return Geometry(shape, tuple(sizes.get(a, 1.0) if a == "T" else 1.0 for a in spatial))
    steps = tuple(sizes.get(a, 1.0 if a == "T" else sizes["X"]) for a in spatial)
    return Geometry(shape, steps, None, "millimeter")


def _pixel_sizes(path: Path, file: tifffile.TiffFile) -> dict[str, float]:
    """Millimetres along Z, Y and X, and seconds along T, where the file has them."""
    found = _ome_sizes(path, file.ome_metadata) if file.ome_metadata else _resolution(path, file)
    return {axis: size for axis, size in found.items() if math.isfinite(size) and size > 0}


def _ome_sizes(path: Path, xml: str) -> dict[str, float]:
    pixels = tifffile.xml2dict(xml).get("OME", {}).get("Image", {})
    pixels = (pixels[0] if isinstance(pixels, list) else pixels).get("Pixels", {})
    found = {}
    for axis in "XYZ":
        if f"PhysicalSize{axis}" in pixels:
            unit = length_or_warn(str(pixels.get(f"PhysicalSize{axis}Unit", "µm")), path.name)
            found[axis] = float(pixels[f"PhysicalSize{axis}"]) * (math.nan if unit is None else unit)
    if "TimeIncrement" in pixels:
        unit = in_seconds(str(pixels.get("TimeIncrementUnit", "s")))
        found["T"] = float(pixels["TimeIncrement"]) * (math.nan if unit is None else unit)
    return found


def _resolution(path: Path, file: tifffile.TiffFile) -> dict[str, float]:
    """Pixels per unit from the tags; of ImageJ, units and distance of slices from the description."""
    page: Any = file.pages.first
    imagej = {key: str(value) for key, value in (file.imagej_metadata or {}).items()}
    unit = imagej.get("unit", "") if imagej else _RESOLUTION_UNITS.get(page.resolutionunit, "")
    scale = {
        axis: length_or_warn(imagej.get(key) or unit, path.name) for axis, key in zip("XYZ", _IMAGEJ_UNITS, strict=True)
    }
    found = {}
    if "XResolution" in page.tags:
        for axis, dots in zip("XY", page.resolution, strict=True):
            found[axis] = (scale[axis] or math.nan) / dots if dots else math.nan
    if "spacing" in imagej:
        found["Z"] = abs(float(imagej["spacing"])) * (scale["Z"] or math.nan)
    if "finterval" in imagej:
        found["T"] = float(imagej["finterval"]) * (in_seconds(imagej.get("tunit", "s")) or math.nan)
    return found


def tiff_label_files(path: Path, labels: NDArray[Any], geometry: Geometry, _classes: ClassTable) -> Contents:
    """Contents of a label volume that ImageJ opens as a hyperstack, with pixel sizes; ``.ome.tif`` is OME-TIFF.

    Parameters and returns as of :attr:`Format.write <napari_scribseg.io.formats.Format>`; position,
    directions, names and colours are not kept.
    """
    axes = "TZYX"[-labels.ndim :]
    full = [dict(zip(axes, labels.shape, strict=True)).get(a, 1) for a in "TZCYXS"]
    physical = geometry.unit == "millimeter"
    sizes = dict(zip(axes, geometry.spacing, strict=True))
    ome = extension(path).startswith(".ome")
    large = labels.nbytes > (4 << 30) - (1 << 25)
    imagej = not ome and not large
    metadata: dict[str, Any] = {"axes": "TZCYXS" if imagej else axes}
    resolution = None
    if ome:
        metadata |= {f"PhysicalSize{a}": sizes[a] for a in "XYZ" if a in sizes and physical}
        metadata |= {f"PhysicalSize{a}Unit": "mm" for a in "XYZ" if a in sizes and physical}
        metadata |= {"TimeIncrement": sizes["T"], "TimeIncrementUnit": "s"} if "T" in sizes else {}
    elif physical:
        resolution = (1 / sizes["X"], 1 / sizes["Y"])
        metadata |= {"unit": "mm"} | ({"spacing": sizes["Z"]} if "Z" in sizes else {})
        metadata |= {"finterval": sizes["T"]} if "T" in sizes else {}

    def write(file: BinaryIO) -> None:
        tifffile.imwrite(
            file,
            np.ascontiguousarray(labels).reshape(full if imagej else labels.shape),
            imagej=imagej,
            ome=ome,
            bigtiff=large,
            photometric="minisblack",
            resolution=resolution,
            resolutionunit="NONE" if resolution else None,
            software=f"{LABEL_MARK} {axes}",
            metadata=metadata,
        )

    return {path: write}
