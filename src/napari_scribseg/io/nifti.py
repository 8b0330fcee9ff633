"""NIfTI-1 and NIfTI-2, through nibabel."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.core.geometry import is_singular, same_grid
from napari_scribseg.io.atomic import Contents
from napari_scribseg.io.formats import LABEL_MARK, ReadOptions, stem
from napari_scribseg.io.limits import check_declared
from napari_scribseg.io.units import in_millimetres, in_seconds

__all__ = ["has_label_intent", "nifti_image_files", "nifti_label_files", "read_nifti"]

_DAMAGED = (ArithmeticError, EOFError, OSError, TypeError, ValueError, zlib.error, ImageFileError, HeaderDataError)
_NIFTI1_AXIS = 32767
_RGB_INTENTS = (2003, 2004)  # vectors of red, green, blue and opacity
_SERIES_OF_ONE = f"{LABEL_MARK} TZYX".encode()


def read_nifti(path: Path, _options: ReadOptions) -> Source:
    """Read a NIfTI file; an uncompressed one is mapped from the disk, not copied.

    Raises
    ------
    InputError
        If the file is no NIfTI, is truncated, declares more than it holds or than fits the memory, or has an
        arrangement of axes other than (x, y), (x, y, z), (x, y, z, t) or (x, y, z, 1, channel).
    """
    image = _open(path)
    header = image.header
    shape = _spatial_shape(path, image.shape, series=bool(header["descrip"] == _SERIES_OF_ONE))
    channels = len(image.shape) == 5 and image.shape[4] > 1
    rgb = channels and int(header["intent_code"]) in _RGB_INTENTS
    data = _values(path, image)
    if data.dtype.names:  # RGB24 and RGBA32 are records of bytes
        data = np.ascontiguousarray(data).view(np.uint8).reshape(*data.shape, len(data.dtype.names))
        channels = rgb = True
    elif channels:
        data = data.reshape(*shape, image.shape[4])
    n_axes = len(shape)
    data = data.reshape(*shape, data.shape[-1]) if channels else data.reshape(shape, order="A")
    array = data.transpose(*range(n_axes)[::-1], *((n_axes,) if channels else ()))
    return Source(array, _geometry(path, header, shape), stem(path), channels, rgb=rgb)


def has_label_intent(path: Path) -> bool:
    """Whether the header has the label intent."""
    return bool(_open(path).header["intent_code"] == 1002)


def _open(path: Path) -> Any:
    """The image with its header read and its declared size checked; no voxel is read yet."""
    try:
        with nib.imageglobals.LoggingOutputSuppressor():
            image: Any = nib.load(path)  # type: ignore[attr-defined]
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path.name}: it cannot be read as NIfTI ({reason})") from error
    if not isinstance(image, nib.Nifti1Pair):
        raise InputError(f"{path.name}: it is {type(image).__name__}, not NIfTI")
    compressed = path.suffix.lower() == ".gz"
    proxy: Any = image.dataobj
    header: Any = image.header
    stored_type = header.get_data_dtype()
    stored = path.stat().st_size - (0 if compressed else int(proxy.offset))
    check_declared(
        path,
        image.shape,
        stored_type.itemsize,
        stored,
        encoding="deflate" if compressed else "raw",
        copies=_copies(image, compressed),
    )
    return image


def _copies(image: Any, compressed: bool) -> float:
    """How many times the stored bytes :func:`_values` takes: what is unpacked, and what is converted from it."""
    stored = image.header.get_data_dtype()
    converted = 0.0
    if not _is_unscaled(image) or (stored.kind == "f" and stored.itemsize > 4):
        converted = 4 / stored.itemsize
    elif not stored.isnative:
        converted = 1.0
    return (1 if compressed else 0) + converted


def _is_unscaled(image: Any) -> bool:
    """Whether the stored numbers are the values; after loading, nibabel keeps the scaling in the data proxy only."""
    return bool(image.dataobj.slope == 1 and image.dataobj.inter == 0)


def _spatial_shape(path: Path, shape: tuple[int, ...], *, series: bool) -> tuple[int, ...]:
    """Axes (x, y[, z[, t]]) of the file, without what follows of length one, unless it is a series of one volume."""
    if len(shape) > 4 and all(n == 1 for n in shape[5:]) and (shape[3] == 1 or shape[4] == 1):
        shape = shape[:4]
    if len(shape) == 4 and shape[3] == 1 and not series:
        shape = shape[:3]
    if not 2 <= len(shape) <= 4:
        raise InputError(
            f"{path.name}: it has the shape {'x'.join(map(str, shape))}; (x, y), (x, y, z), (x, y, z, t) or "
            "(x, y, z, 1, channel) is expected"
        )
    return shape


def _values(path: Path, image: Any) -> NDArray[Any]:
    """The voxels: as stored where there is no scaling, else float32; native byte order."""
    try:
        if _is_unscaled(image) or image.header.get_data_dtype().names:  # colours have no scale
            data = cast(NDArray[Any], image.dataobj.get_unscaled())
        else:
            data = np.asarray(image.dataobj, dtype=np.float32)
    except _DAMAGED as error:
        raise InputError(f"{path.name}: its voxels cannot be read, the file is truncated or damaged") from error
    if data.dtype.kind == "c":
        raise InputError(f"{path.name}: it holds complex values ({data.dtype}); real ones are expected")
    if data.dtype.kind == "f" and data.dtype.itemsize > 4:
        data = data.astype(np.float32)
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _geometry(path: Path, header: Any, shape: tuple[int, ...]) -> Geometry:
    """The grid in array order; ``reference`` is a copy of the header."""
    length, time = _units(header)
    if length is None:
        warnings.warn(f"{path.name}: its unit of length is unknown; millimetres are taken", UserWarning, stacklevel=2)
        length = 1.0
    affine = _affine(path, header)
    n_space = min(len(shape), 3)
    zooms = [float(abs(z)) for z in header.get_zooms()[:n_space]]
    sized = all(np.isfinite(z) and z > 0 for z in zooms)
    if affine is not None:
        affine[:3] *= length
        affine = affine[:, [2, 1, 0, 3]]
        spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))[-n_space:]
    else:
        spacing = tuple(z * length if np.isfinite(z) and z > 0 else 1.0 for z in zooms[::-1])
    if len(shape) == 4:
        step = float(header.get_zooms()[3]) * time
        spacing = (step if np.isfinite(step) and step > 0 else 1.0, *spacing)
    unit = "millimeter" if sized or affine is not None else "pixel"
    return Geometry(shape[::-1], spacing, affine, unit, reference=header.copy())


def _units(header: Any) -> tuple[float | None, float]:
    """Millimetres and seconds of the units that the header names; None for a code of length that is none of NIfTI's."""
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return None, 1.0
    return in_millimetres(space) or 1.0, in_seconds(time) or 1.0


def _affine(path: Path, header: Any) -> NDArray[np.float64] | None:
    """The sform, else the qform; None where the file has neither, and where they are singular.

    A file with both codes 0 has neither position nor directions; programs differ in where they show it.
    """
    forms = [(header["sform_code"], header.get_sform, "sform"), (header["qform_code"], header.get_qform, "qform")]
    singular = []
    for _, form, name in (form for form in forms if form[0] > 0):
        try:
            affine = np.array(form(), dtype=np.float64)
        except (ValueError, HeaderDataError):  # a quaternion longer than one, or pixdim without a sense
            singular.append(name)
            continue
        if np.isfinite(affine).all() and not is_singular(affine[:3, :3]):
            if singular:
                warnings.warn(f"{path.name}: its sform is singular; the qform is used", UserWarning, stacklevel=2)
            return affine
        singular.append(name)
    if singular:
        warnings.warn(f"{path.name}: its affine is singular; only the voxel size is used", UserWarning, stacklevel=2)
    return None


def nifti_label_files(path: Path, labels: NDArray[Any], geometry: Geometry, _classes: ClassTable) -> Contents:
    """Contents of a label volume: header of the reference where it is one, label intent, no scaling.

    Parameters and returns as of :attr:`Format.write <napari_scribseg.io.formats.Format>`; names and colours are
    not kept.
    """
    return {path: _writer(path, labels, _label_header(geometry, labels))}


def nifti_image_files(path: Path, values: NDArray[Any], geometry: Geometry) -> Contents:
    """Contents of an image of one channel, as :func:`nifti_label_files` gives those of labels.

    Parameters
    ----------
    path : Path
    values : ndarray of shape (\\*S)
        Real numbers; those of 64 bits are stored in 32, booleans as 0 and 1.
    geometry : Geometry
        With exactly these axes.
    """
    stored = {"f8": np.float32, "f2": np.float32, "b1": np.uint8, "i8": np.float32, "u8": np.float32}
    values = values.astype(stored.get(values.dtype.str[1:], values.dtype), copy=False)
    header = _header(geometry, values)
    header.set_intent("none")
    return {path: _writer(path, values, header)}


def _writer(path: Path, values: NDArray[Any], header: Any) -> Callable[[BinaryIO], None]:
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image: Any = kind(values.T, None, header)  # type: ignore[no-untyped-call]

    def write(file: BinaryIO) -> None:
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)

    return write


def _label_header(geometry: Geometry, labels: NDArray[Any]) -> Any:
    """A header with the label intent, whose name is that of the reference where it is a NIfTI header."""
    header = _header(geometry, labels)
    header.set_intent("label", name=str(header["intent_name"].astype(str)))
    return header


def _header(geometry: Geometry, values: NDArray[Any]) -> Any:
    """The reference's header for other values; a plain one with the geometry's affine where there is none."""
    reference = geometry.reference
    nifti2 = isinstance(reference, nib.Nifti2Header) or max(values.shape) > _NIFTI1_AXIS
    cls: Any = nib.Nifti2Header if nifti2 else nib.Nifti1Header
    from_nifti = isinstance(reference, nib.Nifti1Header) and _agrees(reference, geometry)
    header = cls.from_header(reference, check=False) if from_nifti else cls()
    if header.endianness != nib.volumeutils.native_code:
        header = header.as_byteswapped(nib.volumeutils.native_code)
    header.set_data_shape(values.shape[::-1])
    if not from_nifti:
        _set_plain_geometry(header, geometry)
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    if values.ndim == 4 and len(values) == 1:
        header["descrip"] = _SERIES_OF_ONE
    elif header["descrip"] == _SERIES_OF_ONE:
        header["descrip"] = b""
    return header


def _agrees(reference: Any, geometry: Geometry) -> bool:
    """Whether the reference's grid is that of the geometry: it may have been cropped, moved or resampled since."""
    shape = tuple(int(n) for n in reference.get_data_shape())
    if len(shape) < len(geometry.shape):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = _geometry(Path(), reference, shape[: len(geometry.shape)])
    if (own.affine is None) != (geometry.affine is None) or own.unit != geometry.unit:
        return False
    if not np.allclose(own.spacing, geometry.spacing, rtol=1e-5, atol=0):
        return False
    return same_grid(replace(geometry, shape=own.shape), own, 1e-3)


def _set_plain_geometry(header: Any, geometry: Geometry) -> None:
    """Voxel sizes, units, and the affine as sform; also as qform where it has no shear, which a qform cannot hold."""
    steps = geometry.spacing[::-1]
    header.set_zooms(steps)
    physical = geometry.unit == "millimeter"
    header.set_xyzt_units("mm" if physical else "unknown", "sec" if len(steps) == 4 else "unknown")
    if geometry.affine is not None:
        affine = geometry.affine[:, [2, 1, 0, 3]]
        header.set_sform(affine, code="scanner")
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        sheared = not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
        header.set_qform(affine, code="unknown" if sheared else "scanner", strip_shears=True)
        if len(steps) == 4:
            header.set_zooms(steps)
